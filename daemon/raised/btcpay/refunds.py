"""Refunds: all pull payments and payouts of a store. Source: docs/btcpay.md 10."""

import asyncio
from typing import Final

from raised.btcpay.publisher import StoreContext
from raised.domain.observation import RefundsSeen
from raised.errors import Refused

_UNKNOWN: Final = "refunds_unknown"


class RefundFetcher:
    """Fetches both lists whole each time: the API has no pages for them."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._lock = asyncio.Lock()  # an older answer must not be published after a newer one

    async def fetch_and_publish(self) -> bool:
        """Publish every pull payment and payout; False when the key may not see them.

        Raises SourceError when there is no answer now.
        """
        context = self._context
        async with self._lock:
            try:
                pull_payments = await context.server.pull_payments()
                payouts = await context.server.payouts()
            except Refused as error:
                if error.code == "unauthenticated":
                    raise
                context.health.refunds_visible = False
                context.health.begin_problem(
                    _UNKNOWN, f"refunds are not seen and not taken off: {error.detail}"
                )
                return False
            context.uncounted.add_payouts(payouts)
            await context.outbox.put(
                RefundsSeen(context.label, context.clock(), pull_payments, payouts)
            )
        context.health.refunds_visible = True
        context.health.end_problem(_UNKNOWN)
        return True

"""Money that went back: all pull payments and payouts of a store. Source: btcpay.md 10."""

import asyncio
from typing import Final

from raised.btcpay.publisher import StoreContext
from raised.domain.observation import RefundsSeen
from raised.errors import Refused

_UNSEEN: Final = "refunds_unknown"


class RefundFetcher:
    """The lists of refunds, whole each time: they have no pages."""

    def __init__(self, follower: StoreContext) -> None:
        self._follower = follower
        self._one = asyncio.Lock()  # an older answer must not come after a newer one

    async def pull(self) -> bool:
        """Tell of every refund; False when the key may not see them.

        Raises SourceError when there is no answer now.
        """
        me = self._follower
        async with self._one:
            try:
                pull_payments = await me.server.pull_payments()
                payouts = await me.server.payouts()
            except Refused as error:
                if error.code == "unauthenticated":
                    raise
                me.health.refunds_visible = False
                me.health.begin_problem(
                    _UNSEEN, f"refunds are not seen and not taken off: {error.detail}"
                )
                return False
            await me.outbox.put(RefundsSeen(me.label, me.clock(), pull_payments, payouts))
        me.health.refunds_visible = True
        me.health.end_problem(_UNSEEN)
        return True

"""Refunds: all pull payments and payouts of a store. Source: docs/btcpay.md 10."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from raised.btcpay.client.json_fields import ParsedRows
from raised.btcpay.publisher import StoreContext
from raised.domain.observation import RefundsSeen
from raised.errors import Refused
from raised.net.source_health import problem_key

T = TypeVar("T")
_UNKNOWN: Final = "refunds_unknown"
_UNREADABLE: Final = "bad_refund"
_NOT_UNDERSTOOD: Final = (
    "an entry of {} has a form that is not understood, so a refund may be missing in the figures:"
    " look at it in the server, and whether raised or the server is to be upgraded"
)
PULL_PAYMENTS: Final = "the list of pull payments"
PAYOUTS: Final = "the list of payouts"


class RefundFetcher:
    """Fetches both lists whole each time: the API has no pages for them.

    `reading`: which of them was asked for last.
    """

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._lock = asyncio.Lock()  # an older answer must not be published after a newer one
        self._unreadable: dict[str, set[str]] = {}  # list → ids of what could not be read
        self.reading = PULL_PAYMENTS

    async def fetch_and_publish(self) -> bool:
        """Publish every pull payment and payout; False when the key may not see them.

        Raises SourceError when there is no answer now.
        """
        context = self._context
        async with self._lock:
            try:
                pull_payments = await self._read(PULL_PAYMENTS, context.server.pull_payments)
                payouts = await self._read(PAYOUTS, context.server.payouts)
            except Refused as error:
                if error.code == "unauthenticated":
                    raise
                context.health.refunds_visible = False
                context.health.begin_problem(
                    _UNKNOWN, f"refunds are not seen and not taken off: {error.detail}"
                )
                return False
            context.uncounted.add_payouts(payouts)
            context.oddities.see_payouts(payouts)
            await context.outbox.put(
                RefundsSeen(context.label, context.clock(), pull_payments, payouts)
            )
        context.health.refunds_visible = True
        context.health.end_problem(_UNKNOWN)
        return True

    async def _read(self, what: str, ask: Callable[[], Awaitable[ParsedRows[T]]]) -> tuple[T, ...]:
        self.reading = what
        read = await ask()
        self._context.health.list_read(what)
        self._name_unreadable(what, read.unreadable_ids)
        return read.rows

    def _name_unreadable(self, what: str, ids: Iterable[str]) -> None:
        """Name what of this list could not be read now, and nothing else any more."""
        health, unreadable = self._context.health, set(ids)
        for ended in self._unreadable.get(what, set()) - unreadable:
            health.end_problem(_key(what, ended))
        for entry in sorted(unreadable):
            health.begin_problem(
                _UNREADABLE,
                _NOT_UNDERSTOOD.format(what),
                key=_key(what, entry),
                subject=entry,
                is_private=True,
            )
        self._unreadable[what] = unreadable


def _key(what: str, entry: str) -> str:
    return problem_key(f"{_UNREADABLE} {what}", entry)

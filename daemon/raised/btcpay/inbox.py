"""The inbox rings, a fetch tells. Source: btcpay.md 8 and 12.3.

Nothing is derived from an event but what to look at. A delivery stays in the inbox until what it
asked for has been told, so whatever ends us in between, the next start asks again.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Never

from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.ports import PendingDelivery
from raised.btcpay.publisher import InvoicePublisher, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.timing import StoreTiming
from raised.domain.observation import DeliveriesDone
from raised.errors import SourceError, Unavailable
from raised.net.backoff import Backoff, backoff_seconds

APPLIED: Final = "applied"
GONE: Final = "gone"
IGNORED: Final = "ignored"
TEST: Final = "test"

_IN_FLIGHT: Final = 2
_LOOK: Final = 1000  # deliveries of one look at the inbox
_REFUNDS: Final = None  # stands where an invoice's id does
_TEST_MARK: Final = "__test__"  # the test button of servers 1.2 to 2.2


@dataclass(slots=True)
class _PendingFetch:
    """An invoice to be fetched: which deliveries wait for it, and when it is due."""

    due_at: float
    waiting: dict[int, PendingDelivery] = field(default_factory=dict[int, PendingDelivery])
    failures: int = 0
    busy: bool = False


class InboxWorker:
    """Follows the inbox of one store."""

    def __init__(
        self,
        follower: StoreContext,
        telling: InvoicePublisher,
        refunds: RefundFetcher,
        pauses: StoreTiming,
    ) -> None:
        self._follower = follower
        self._telling = telling
        self._refunds = refunds
        self._pauses = pauses
        self._backoff = Backoff(pauses.first, pauses.most)
        self._rings: dict[str | None, _PendingFetch] = {}
        self._told: set[int] = set()  # deliveries that are done, once the record has heard of it
        self._news = asyncio.Event()
        self._bell = asyncio.Event()

    def wake(self) -> None:
        """Look at the inbox again."""
        self._news.set()

    async def follow(self) -> Never:
        """Answer every delivery, for ever. Cancelled, it leaves the rest in the inbox."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_IN_FLIGHT):
                tasks.create_task(self._answer())
            while True:
                self._news.clear()
                await self._look()
                await asyncio.sleep(self._pauses.wake)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pauses.poll):
                        await self._news.wait()
        raise AssertionError("a task group that was never left without an exception")

    async def _look(self) -> None:
        """Take in what has come; what asks for nothing is done at once."""
        me = self._follower
        pending = await me.record.pending_deliveries(me.label, _LOOK)
        self._told &= {one.id for one in pending}
        known = self._told.union(*(ring.waiting for ring in self._rings.values()))
        results: dict[int, str] = {}
        for delivery in pending:
            if delivery.id in known:
                continue
            result = _needs_nothing(delivery)
            if result is None:
                self._ring(delivery)
            else:
                results[delivery.id] = result
        if results:
            await self._done(results, {})

    def _ring(self, delivery: PendingDelivery) -> None:
        now = asyncio.get_running_loop().time()
        target = _REFUNDS if delivery.invoice_id is None else delivery.invoice_id
        ring = self._rings.setdefault(target, _PendingFetch(now))
        ring.waiting[delivery.id] = delivery
        ring.due_at = min(ring.due_at, now)
        self._bell.set()

    async def _answer(self) -> Never:
        while True:
            target, ring = await self._next()
            ring.busy = True
            try:
                await self._fetch(target, ring)
            finally:
                ring.busy = False

    async def _next(self) -> tuple[str | None, _PendingFetch]:
        """The ring that is due for longest and that nobody answers; waits for one."""
        time = asyncio.get_running_loop().time
        while True:
            await self._follower.health.key_accepted.wait()
            self._bell.clear()
            free = [one for one in self._rings.items() if not one[1].busy]
            first = min(free, key=lambda one: one[1].due_at, default=None)
            due_at = None if first is None else max(first[1].due_at, self._backoff.due_at)
            if first is not None and due_at is not None and due_at <= time():
                return first
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_at):
                    await self._bell.wait()

    async def _fetch(self, target: str | None, ring: _PendingFetch) -> None:
        waiting = dict(ring.waiting)  # what rings while we ask wants an answer of its own
        began_at = asyncio.get_running_loop().time()
        try:
            result = await self._ask(target)
        except SourceError as error:
            self._failed(ring, error)
            return
        self._backoff.on_success()
        self._follower.health.request_succeeded("fetch")
        await self._done(dict.fromkeys(waiting, result), _refunds_of(waiting.values()))
        for one in waiting:
            del ring.waiting[one]
        if ring.failures:
            ring.failures = 0
            self._count_unreadable()
        ring.due_at = self._again_at(began_at, waiting) if waiting else float("inf")
        if ring.waiting:
            ring.due_at = began_at
        elif ring.due_at == float("inf"):
            del self._rings[target]
        self._bell.set()

    def _again_at(self, began_at: float, waiting: Mapping[int, PendingDelivery]) -> float:
        """When to ask once more: the answer may have been older than the last event."""
        newest = max(one.received_at for one in waiting.values())
        age = max(0, self._follower.clock() - newest)
        return began_at + self._pauses.echo - age if age < self._pauses.echo else float("inf")

    async def _ask(self, target: str | None) -> str:
        if target is _REFUNDS:
            return APPLIED if await self._refunds.pull() else IGNORED
        return APPLIED if await self._telling.fetch(target, "delivery") else GONE

    def _failed(self, ring: _PendingFetch, error: SourceError) -> None:
        """Keep the ring. A server that is away is waited for; a bad answer delays its invoice."""
        health = self._follower.health
        if isinstance(error, Unavailable):
            self._backoff.on_failure(error.retry_after or 0)
            health.request_failed(error, "fetch")
        elif error.code in LOCKED_OUT:
            health.request_failed(error, "fetch")
        else:
            time = asyncio.get_running_loop().time()
            ring.due_at = time + backoff_seconds(
                self._pauses.first, self._pauses.most, ring.failures
            )
            ring.failures += 1
            self._count_unreadable()
        self._bell.set()

    def _count_unreadable(self) -> None:
        unread = sum(ring.failures > 0 for ring in self._rings.values())
        self._follower.health.set_unreadable("delivery", unread)

    async def _done(self, results: Mapping[int, str], refunds: Mapping[str, str]) -> None:
        if not results:
            return
        me = self._follower
        await me.outbox.put(DeliveriesDone(me.label, me.clock(), results, refunds))
        self._told.update(results)
        if refunds:  # the offer is there; the list says what it is
            now = asyncio.get_running_loop().time()
            self._rings.setdefault(_REFUNDS, _PendingFetch(now)).due_at = now


def _needs_nothing(delivery: PendingDelivery) -> str | None:
    """The result of a delivery that asks for no fetch."""
    if _TEST_MARK in (delivery.invoice_id or ""):
        return TEST
    # Unknown types of events that name an invoice are events of it all the same.
    if delivery.type.startswith("Invoice") and delivery.invoice_id is not None:
        return None
    return None if delivery.type.startswith("Payout") else IGNORED


def _refunds_of(deliveries: Iterable[PendingDelivery]) -> dict[str, str]:
    """Which invoice each new pull payment takes money back from, as signed events said."""
    return {
        one.pull_payment_id: one.invoice_id
        for one in deliveries
        if one.type == "InvoiceRefund"
        and one.pull_payment_id is not None
        and one.invoice_id is not None
    }

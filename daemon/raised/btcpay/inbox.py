"""Works off webhook deliveries. Source: docs/btcpay.md 8 and 12.3.

Each names an invoice to fetch; nothing else in a delivery is trusted. A delivery stays in the
inbox until what it asked for has been published, so after a crash the next start fetches again.
Invoices that are set aside are tried again here, too, whatever met them first.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Never

from raised.btcpay.blame import is_server_at_fault, wanted_wait
from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.ports import PendingDelivery
from raised.btcpay.publisher import InvoicePublisher, Origin, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.settings import StoreTiming
from raised.domain.observation import DeliveriesDone
from raised.errors import SourceError
from raised.net.backoff import Backoff

# Results of a delivery, as the record stores them.
APPLIED: Final = "applied"
GONE: Final = "gone"
IGNORED: Final = "ignored"
TEST: Final = "test"

_WORKERS: Final = 2  # requests to a server at a time (docs/btcpay.md 9.4)
_MOST_DELIVERIES: Final = 1000  # read from the inbox at once
_REFUNDS: Final = None  # the target of a fetch of refunds, where else an invoice's id stands
_TEST_MARK: Final = "__test__"  # the test button of servers 1.2 to 2.2 (docs/btcpay.md 8)
_NEVER: Final = float("inf")


@dataclass(slots=True)
class _PendingFetch:
    """What is to be fetched for which deliveries. `due_at`: by the event loop's clock."""

    due_at: float
    deliveries: dict[int, PendingDelivery] = field(default_factory=dict[int, PendingDelivery])
    origin: Origin = "delivery"
    in_flight: bool = False


class InboxWorker:
    """Works off the inbox of one store."""

    def __init__(
        self,
        context: StoreContext,
        publisher: InvoicePublisher,
        refunds: RefundFetcher,
        timing: StoreTiming,
    ) -> None:
        self._context = context
        self._publisher = publisher
        self._refunds = refunds
        self._timing = timing
        self._backoff = Backoff(timing.first_retry, timing.longest_retry)  # of the server
        self._refunds_backoff = Backoff(timing.first_retry, timing.longest_retry)
        self._pending: dict[str | None, _PendingFetch] = {}
        # Deliveries whose result was published, until the inbox shows that it was committed.
        self._published: set[int] = set()
        self._inbox_changed = asyncio.Event()
        self._work_available = asyncio.Event()
        context.set_aside.on_change = self._work_available.set

    def wake(self) -> None:
        """Read the inbox again."""
        self._inbox_changed.set()

    async def follow(self) -> Never:
        """Work off deliveries for ever. Cancelled, it leaves the others in the inbox."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WORKERS):
                tasks.create_task(self._work())
            while True:
                self._inbox_changed.clear()
                await self._read_inbox()
                # Commits wake us many times a second; the inbox need not be read each time.
                await asyncio.sleep(self._timing.inbox_min_interval)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timing.inbox_poll):
                        await self._inbox_changed.wait()
        raise AssertionError("a task group that was never left without an exception")

    async def _read_inbox(self) -> None:
        """Schedule what new deliveries ask for; those that ask for nothing are done at once."""
        context = self._context
        pending = await context.record.pending_deliveries(context.label, _MOST_DELIVERIES)
        self._published &= {delivery.id for delivery in pending}
        known = self._published.union(*(fetch.deliveries for fetch in self._pending.values()))
        results: dict[int, str] = {}
        for delivery in pending:
            if delivery.id in known:
                continue
            result = _result_without_fetch(delivery)
            if result is None:
                self._schedule(delivery)
            else:
                results[delivery.id] = result
        await self._publish_results(results, {})

    def _schedule(self, delivery: PendingDelivery) -> None:
        now = asyncio.get_running_loop().time()
        target = _REFUNDS if delivery.invoice_id is None else delivery.invoice_id
        # Repeated events of an invoice are one fetch.
        fetch = self._pending.setdefault(target, _PendingFetch(now))
        fetch.deliveries[delivery.id] = delivery
        fetch.origin = "delivery"
        fetch.due_at = min(fetch.due_at, now)
        self._work_available.set()

    async def _work(self) -> Never:
        while True:
            target, fetch = await self._next_due()
            # One request for an invoice at a time: the other worker leaves this one alone.
            fetch.in_flight = True
            try:
                await self._process(target, fetch)
            finally:
                fetch.in_flight = False

    async def _next_due(self) -> tuple[str | None, _PendingFetch]:
        """The fetch that is due for longest and not in flight; waits for one."""
        time = asyncio.get_running_loop().time
        set_aside = self._context.set_aside
        while True:
            await self._context.health.key_accepted.wait()
            # Cleared before the look, so that what is scheduled during it is not lost.
            self._work_available.clear()
            for invoice_id in set_aside.due():
                self._pending.setdefault(invoice_id, _PendingFetch(time(), origin="late"))
            free = {
                target: self._due_at(target, fetch)
                for target, fetch in self._pending.items()
                if not fetch.in_flight
            }
            first = min(free, key=free.__getitem__, default=None)
            if free and free[first] <= time():
                return first, self._pending[first]
            waits = list(free.values())
            # One that is due already is in flight: its end makes work available.
            if (set_aside_due_at := set_aside.next_due_at) and set_aside_due_at > time():
                waits.append(set_aside_due_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(waits, default=None)):
                    await self._work_available.wait()

    def _due_at(self, target: str | None, fetch: _PendingFetch) -> float:
        if target is _REFUNDS:
            own_due_at = self._refunds_backoff.due_at
        else:
            own_due_at = self._context.set_aside.due_at(target)
        return max(fetch.due_at, self._backoff.due_at, own_due_at)

    async def _process(self, target: str | None, fetch: _PendingFetch) -> None:
        # A delivery that comes while the request is in flight needs a request of its own.
        deliveries = dict(fetch.deliveries)
        began_at = asyncio.get_running_loop().time()
        try:
            result = await self._fetch(target, fetch)
        except SourceError as error:
            self._on_server_failure(error)
            return
        if result is None:
            self._keep(target, fetch)
            return
        self._backoff.on_success()
        self._context.health.request_succeeded("fetch")
        await self._publish_results(
            dict.fromkeys(deliveries, result), _refunded_invoices(deliveries.values())
        )
        for delivery_id in deliveries:
            del fetch.deliveries[delivery_id]
        self._reschedule(target, fetch, began_at, deliveries)

    def _reschedule(
        self,
        target: str | None,
        fetch: _PendingFetch,
        began_at: float,
        deliveries: Mapping[int, PendingDelivery],
    ) -> None:
        """Fetch again at once for deliveries that came meanwhile, or later, or not at all."""
        if fetch.deliveries:
            fetch.due_at = began_at
        else:
            fetch.due_at = self._refetch_at(began_at, deliveries)
            if fetch.due_at == _NEVER:
                del self._pending[target]
        self._work_available.set()

    def _refetch_at(self, began_at: float, deliveries: Mapping[int, PendingDelivery]) -> float:
        """When to fetch once more: this answer may be older than the last event.

        Never, when that event is old already, or when this was the second fetch.
        """
        newest = max((delivery.received_at for delivery in deliveries.values()), default=None)
        if newest is None:
            return _NEVER
        age = max(0, self._context.clock() - newest)
        delay = self._timing.refetch_delay
        return began_at + delay - age if age < delay else _NEVER

    async def _fetch(self, target: str | None, fetch: _PendingFetch) -> str | None:
        """What became of it; None when it is to be tried again, and nothing else has to wait.

        Raises SourceError when the server answers nothing else either.
        """
        if target is _REFUNDS:
            return await self._fetch_refunds()
        known = await self._publisher.fetch_or_set_aside(target, fetch.origin)
        return None if known is None else APPLIED if known else GONE

    async def _fetch_refunds(self) -> str | None:
        context = self._context
        try:
            are_visible = await self._refunds.fetch_and_publish()
        except SourceError as error:
            if await is_server_at_fault(context.server, error):
                raise
            context.health.list_failed(self._refunds.reading, error)
            self._refunds_backoff.on_failure(wanted_wait(error))
            return None
        self._refunds_backoff.on_success()
        return APPLIED if are_visible else IGNORED

    def _keep(self, target: str | None, fetch: _PendingFetch) -> None:
        """Keep the deliveries that wait for it; what only was set aside comes back by itself."""
        if not fetch.deliveries and target is not _REFUNDS:
            del self._pending[target]
        self._work_available.set()

    def _on_server_failure(self, error: SourceError) -> None:
        """Keep the deliveries. A server that answers nothing delays all fetches."""
        if error.code not in LOCKED_OUT:
            self._backoff.on_failure(wanted_wait(error))
        self._context.health.request_failed(error, "fetch")
        self._work_available.set()

    async def _publish_results(
        self, results: Mapping[int, str], refunded: Mapping[str, str]
    ) -> None:
        if not results:
            return
        context = self._context
        await context.outbox.put(DeliveriesDone(context.label, context.clock(), results, refunded))
        self._published.update(results)
        if refunded:
            # The event only says that there is a pull payment; the list says what it is.
            now = asyncio.get_running_loop().time()
            self._pending.setdefault(_REFUNDS, _PendingFetch(now)).due_at = now


def _result_without_fetch(delivery: PendingDelivery) -> str | None:
    """The result of a delivery that asks for no fetch; None for one that does."""
    if _TEST_MARK in (delivery.invoice_id or ""):
        return TEST
    # An unknown type of event, or one that could not be read, is a reason to fetch, too.
    if delivery.invoice_id is not None or delivery.pull_payment_id is not None:
        return None
    return None if delivery.type.startswith("Payout") else IGNORED


def _refunded_invoices(deliveries: Iterable[PendingDelivery]) -> dict[str, str]:
    """The invoice that each new pull payment refunds, as signed events name it."""
    return {
        delivery.pull_payment_id: delivery.invoice_id
        for delivery in deliveries
        if delivery.type == "InvoiceRefund"
        and delivery.pull_payment_id is not None
        and delivery.invoice_id is not None
    }

"""A record in memory, and a store source that follows a fake server into it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, TypeVar

from tests.rig.canned_greenfield import FAST_RETRY, KEPT, KEY, STORE
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.fake_greenfield import FakeGreenfield

from raised.btcpay.ports import PendingDelivery, SweepCheckpoint
from raised.btcpay.settings import StoreSettings, StoreTiming
from raised.btcpay.source import StoreSource
from raised.domain.btcpay.invoice import Invoice
from raised.domain.observation import (
    DeliveriesDone,
    InvoicesGone,
    InvoicesSeen,
    Observation,
    SourceHealth,
    Sweep,
    SweepDone,
    SweepReached,
)

LABEL: Final = "shop"
FAST_TIMING: Final = StoreTiming(
    inbox_poll=0.01,
    inbox_min_interval=0.001,
    refetch_delay=0.0,
    page_interval=0.0,
    month_interval=0.02,
    first_retry=0.01,
    longest_retry=0.03,
    refused_retry=0.03,
    check_interval=0.03,
    health_interval=0.02,
)
_UNKNOWN: Final = SourceHealth("store", LABEL, "ok", 0)
T = TypeVar("T")


class MemoryStoreRecord:
    """What was observed of one store, as the record would store it.

    `payments`: status by (method, payment id) by invoice. `checkpoint` and `swept`: of the full
    sweep. `count_override`: claims to hold so many invoices. `inbox_reads`: how often the source
    has read the inbox.
    """

    def __init__(self) -> None:
        self.inbox: dict[int, PendingDelivery] = {}
        self.results: dict[int, str] = {}
        self.refunds: dict[str, str] = {}
        self.invoices: dict[str, Invoice] = {}
        self.asked_at: dict[str, int] = {}
        self.seen_at: dict[str, int] = {}
        self.missing: set[str] = set()
        self.payments: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        self.apps: dict[str, frozenset[str]] = {}
        self.checkpoint: SweepCheckpoint | None = None
        self.swept: int | None = None
        self.refreshed: int | None = None
        self.observations: list[Observation] = []
        self.count_override: int | None = None
        self.inbox_reads = 0

    def deliver(
        self, event: str, invoice_id: str | None, at: int = 0, pull: str | None = None
    ) -> int:
        """Put a delivery into the inbox; its row."""
        row = len(self.inbox) + 1
        self.inbox[row] = PendingDelivery(row, event, invoice_id, pull, at)
        return row

    def published(self, kind: type[T]) -> list[T]:
        """All observations of this kind."""
        return [observed for observed in self.observations if isinstance(observed, kind)]

    @property
    def full_sweeps(self) -> list[SweepDone]:
        """The full sweeps that have ended."""
        return [done for done in self.published(SweepDone) if done.sweep == "full"]

    @property
    def health(self) -> SourceHealth:
        """The last report; unknown before."""
        return (self.published(SourceHealth) or [_UNKNOWN])[-1]

    @property
    def problem_code(self) -> str | None:
        """The code of the last report; None when all is well."""
        health = self.health
        return None if health.state == "ok" or not health.last_error else health.last_error[0]

    def commit(self, observation: Observation) -> None:
        self.observations.append(observation)
        match observation:
            case InvoicesSeen():
                for invoice in observation.invoices:
                    self._apply(invoice, observation)
            case InvoicesGone():
                self.missing.update(observation.ids)
            case DeliveriesDone():
                self.results.update(observation.results)
                self.refunds.update(observation.refunds)
            case SweepReached():
                self.checkpoint = SweepCheckpoint(observation.began_at, observation.end)
            case SweepDone(sweep="full"):
                self.checkpoint, self.swept = None, observation.began_at
                self.missing.update(self._unseen(observation))
            case _:
                pass

    def _apply(self, invoice: Invoice, seen: InvoicesSeen) -> None:
        if self.asked_at.get(invoice.id, 0) > seen.asked_at:
            return
        self.invoices[invoice.id] = invoice
        self.asked_at[invoice.id] = seen.asked_at
        self.seen_at[invoice.id] = seen.at
        self.missing.discard(invoice.id)
        self.apps[invoice.id] = seen.apps.get(invoice.id, self.apps.get(invoice.id, frozenset()))
        if invoice.payments is not None and not invoice.unreadable_payments:
            shown = {(payment.method, payment.id): payment.status for payment in invoice.payments}
            stored = self.payments[invoice.id]
            stored.update(dict.fromkeys(stored.keys() - shown.keys(), "Invalid"))
            stored.update(shown)

    def _unseen(self, sweep: SweepDone) -> set[str]:
        """What a full sweep should have shown, and did not."""
        return {
            invoice.id
            for invoice in self.invoices.values()
            if sweep.since <= invoice.created_at <= sweep.began_at
            and self.seen_at[invoice.id] < sweep.began_at
        }

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        self.inbox_reads += 1
        waiting = [delivery for row, delivery in self.inbox.items() if row not in self.results]
        return tuple(waiting[:limit])

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        return tuple(
            invoice.id
            for invoice in self.invoices.values()
            if invoice.status in ("New", "Processing") and invoice.id not in self.missing
        )

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        return tuple(
            invoice.id
            for invoice in self.invoices.values()
            if (invoice.status == "Expired" and invoice.expires_at > since)
            or "Processing" in self.payments[invoice.id].values()
        )

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        return {
            key: frozenset(
                payment for payment, status in self.payments[key].items() if status != "Invalid"
            )
            for key in ids
            if key in self.payments
        }

    async def uncounted_methods(self, store: str) -> frozenset[tuple[str, str]]:
        return frozenset(
            (payment.method, payment.currency)
            for invoice in self.invoices.values()
            for payment in invoice.payments or ()
            if payment.value_msats is None
            and self.payments[invoice.id].get((payment.method, payment.id)) != "Invalid"
        )

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        return self.checkpoint

    async def swept_at(self, store: str) -> int | None:
        return self.swept

    async def invoice_count(self, store: str) -> int:
        return len(self.invoices) if self.count_override is None else self.count_override

    async def refresh_requested_at(self) -> int | None:
        return self.refreshed


class FollowedStore:
    """A fake server, and a source that follows it into a record while `follow` is entered.

    `allow_commits`: while it is not set the record commits nothing.
    """

    def __init__(self, server: FakeGreenfield) -> None:
        self.server = server
        self.record = MemoryStoreRecord()
        self.now = 1_773_200_000
        self.timing = FAST_TIMING
        self.changes: dict[str, Any] = {}
        self.allow_commits = asyncio.Event()
        self.allow_commits.set()
        self.outbox = asyncio.Queue[Observation]()
        self.tasks_of_test: set[asyncio.Task[None]] = set()

    def settings(self, **changes: Any) -> StoreSettings:
        settings: dict[str, Any] = {
            "label": LABEL,
            "url": self.server.url,
            "store_id": STORE,
            "api_key": KEY,
            "kept_metadata": KEPT,
        }
        return StoreSettings(**{**settings, **self.changes, **changes})

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[StoreSource]:
        """Follow until the end of the block, then cancel: as at a stop or a kill."""
        source = StoreSource(
            [self.settings()],
            self.record,
            clock=self.clock,
            retry_policy=FAST_RETRY,
            timing=self.timing,
        )
        self.outbox = outbox = asyncio.Queue[Observation](16)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(source.follow(outbox))
            writing = tasks.create_task(self._commit(outbox, source))
            try:
                yield source
            finally:
                following.cancel()
                await asyncio.wait([following])
                writing.cancel()
                await source.close()
        left = asyncio.all_tasks() - {asyncio.current_task(), *self.tasks_of_test}
        assert not left, "a task was left"

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; the limit only ends a test that would hang."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 - conditions are about many things
                await asyncio.sleep(0.002)

    async def sweep(self, source: StoreSource, kind: Sweep) -> None:
        """Run a sweep, and wait until all that it published is committed."""
        await source.sweep(kind)
        await self.outbox.join()

    async def sweeps_started(self) -> None:
        """Wait until the sweeps of a start after a downtime have sent their requests."""
        await self.until(lambda: self.server.count("/invoices?status=new"))

    async def inbox_read(self, times: int = 3) -> None:
        """Wait until the source has read the inbox again: what it would do, it has begun to do."""
        enough = self.record.inbox_reads + times
        await self.until(lambda: self.record.inbox_reads >= enough)

    def clock(self) -> int:
        return self.now

    async def _commit(self, outbox: asyncio.Queue[Observation], source: StoreSource) -> None:
        while True:
            observation = await outbox.get()
            await self.allow_commits.wait()
            self.record.commit(observation)
            source.wake()
            outbox.task_done()

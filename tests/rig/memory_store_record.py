"""A record that only remembers, and a follower before a till: what the tests of following need."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, TypeVar

from tests.rig.canned_greenfield import HURRY, KEPT, KEY, STORE
from tests.rig.fake_greenfield import FakeGreenfield

from raised.btcpay.ports import PendingDelivery, SweepCheckpoint
from raised.btcpay.settings import StoreSettings
from raised.btcpay.source import StoreSource
from raised.btcpay.timing import StoreTiming
from raised.domain.btcpay.invoice import Invoice
from raised.domain.observation import (
    DeliveriesDone,
    InvoicesGone,
    InvoicesSeen,
    Observation,
    SourceHealth,
    SweepDone,
    SweepReached,
)

LABEL: Final = "shop"
FAST_TIMING: Final = StoreTiming(
    poll=0.01,
    wake=0.001,
    echo=0.0,
    page=0.0,
    rest=0.02,
    first=0.01,
    most=0.03,
    locked_out=0.03,
    look=0.03,
    health=0.02,
)
_UNKNOWN: Final = SourceHealth("store", LABEL, "ok", 0)
T = TypeVar("T")


class MemoryStoreRecord:
    """What was observed of one store, as the record would hold it."""

    def __init__(self) -> None:
        self.inbox: dict[int, PendingDelivery] = {}
        self.results: dict[int, str] = {}
        self.refunds: dict[str, str] = {}
        self.invoices: dict[str, Invoice] = {}
        self.asked_at: dict[str, int] = {}
        self.seen_at: dict[str, int] = {}
        self.missing: set[str] = set()
        self.paid: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        self.apps: dict[str, frozenset[str]] = {}
        self.reached: SweepCheckpoint | None = None
        self.swept: int | None = None
        self.refreshed: int | None = None
        self.told: list[Observation] = []
        self.pretended_count: int | None = None

    def ring(self, event: str, invoice_id: str | None, at: int = 0, pull: str | None = None) -> int:
        """A delivery in the inbox; its row."""
        row = len(self.inbox) + 1
        self.inbox[row] = PendingDelivery(row, event, invoice_id, pull, at)
        return row

    def of(self, kind: type[T]) -> list[T]:
        """What was told of this kind."""
        return [one for one in self.told if isinstance(one, kind)]

    @property
    def health(self) -> SourceHealth:
        """What was told last; unknown before."""
        return (self.of(SourceHealth) or [_UNKNOWN])[-1]

    @property
    def trouble(self) -> str | None:
        """The code that stands in its health."""
        health = self.health
        return None if health.state == "ok" or not health.last_error else health.last_error[0]

    def commit(self, observation: Observation) -> None:
        self.told.append(observation)
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
                self.reached = SweepCheckpoint(observation.began_at, observation.end)
            case SweepDone(sweep="full"):
                self.reached, self.swept = None, observation.began_at
                self.missing.update(
                    one.id
                    for one in self.invoices.values()
                    if observation.since <= one.created_at <= observation.began_at
                    and self.seen_at[one.id] < observation.began_at
                )
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
        if invoice.payments is not None and not invoice.unread_payments:
            shown = {(one.method, one.id): one.status for one in invoice.payments}
            paid = self.paid[invoice.id]
            paid.update(dict.fromkeys(paid.keys() - shown.keys(), "Invalid"))
            paid.update(shown)

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        waiting = [one for row, one in self.inbox.items() if row not in self.results]
        return tuple(waiting[:limit])

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        return tuple(
            one.id
            for one in self.invoices.values()
            if one.status in ("New", "Processing") and one.id not in self.missing
        )

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        return tuple(
            one.id
            for one in self.invoices.values()
            if (one.status == "Expired" and one.expires_at > since)
            or "Processing" in self.paid[one.id].values()
        )

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        return {
            one: frozenset(key for key, status in self.paid[one].items() if status != "Invalid")
            for one in ids
            if one in self.paid
        }

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        return self.reached

    async def swept_at(self, store: str) -> int | None:
        return self.swept

    async def invoice_count(self, store: str) -> int:
        return len(self.invoices) if self.pretended_count is None else self.pretended_count

    async def refresh_requested_at(self) -> int | None:
        return self.refreshed


class FollowedStore:
    """A till, a ledger, and stores that follow the one into the other while `open` is entered."""

    def __init__(self, till: FakeGreenfield) -> None:
        self.till = till
        self.ledger = MemoryStoreRecord()
        self.now = 1_773_200_000
        self.pauses = FAST_TIMING
        self.changes: dict[str, Any] = {}
        self.commits = asyncio.Event()
        self.commits.set()
        self.tasks_of_test: set[asyncio.Task[None]] = set()

    def settings(self, **changes: Any) -> StoreSettings:
        told: dict[str, Any] = {
            "label": LABEL,
            "url": self.till.url,
            "store_id": STORE,
            "api_key": KEY,
            "kept_metadata": KEPT,
        }
        return StoreSettings(**{**told, **self.changes, **changes})

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[StoreSource]:
        """Follow until the end of the block, then cancel: as at a stop or a kill."""
        stores = StoreSource(
            [self.settings()], self.ledger, clock=self.clock, retry_policy=HURRY, pauses=self.pauses
        )
        outbox: asyncio.Queue[Observation] = asyncio.Queue(16)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(stores.follow(outbox))
            writing = tasks.create_task(self._commit(outbox, stores))
            try:
                yield stores
            finally:
                following.cancel()
                await asyncio.wait([following])
                writing.cancel()
                await stores.close()
        left = asyncio.all_tasks() - {asyncio.current_task(), *self.tasks_of_test}
        assert not left, "a task was left"

    async def until(self, claim: Callable[[], object]) -> None:
        """Wait for it, not for long."""
        async with asyncio.timeout(8):
            while not claim():  # noqa: ASYNC110 - claims are about many things
                await asyncio.sleep(0.002)

    async def begun(self) -> None:
        """Wait until the sweeps of a start after a downtime have asked their questions."""
        await self.until(lambda: self.till.count("/invoices?status=new"))

    def clock(self) -> int:
        return self.now

    async def _commit(self, outbox: asyncio.Queue[Observation], stores: StoreSource) -> None:
        while True:
            observation = await outbox.get()
            await self.commits.wait()
            self.ledger.commit(observation)
            stores.wake()
            outbox.task_done()

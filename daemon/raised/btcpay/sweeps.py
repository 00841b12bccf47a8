"""The scheduled pulls, which find what no webhook announced. Source: docs/btcpay.md 12.4."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import structlog

from raised.btcpay.client.invoice_query import InvoiceAnswer
from raised.btcpay.paginator import PAGE, InvoicePaginator
from raised.btcpay.publisher import InvoicePublisher, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.settings import StoreTiming
from raised.domain.observation import Progress, StoreRead, Sweep, SweepDone, SweepReached
from raised.errors import SourceError

_DAY: Final = 86_400
_MONTH: Final = 31 * _DAY
# Windows overlap by so much: clocks differ, and answers may be late.
_OVERLAP_SECONDS: Final = 3600
_SHORTEST_RECENT_SECONDS: Final = 3 * _DAY
_LATE_SECONDS: Final = 30 * _DAY
# The defaults of BTCPay, for a store whose settings the key may not read.
_DEFAULT_TERMS_SECONDS: Final = 900 + 86_400
# More late invoices than these are read as one list: fewer requests than one for each.
_MOST_SINGLE_FETCHES: Final = 20
# From so many invoices on a full sweep pauses after each month, to be gentle to the server.
_LARGE_STORE: Final = 20_000

# `refunds`: the lists of pull payments and payouts, at the pace of the recent sweep.
SweepKind = Literal["active", "recent", "late", "full", "refunds"]
_LISTS: Final[Mapping[SweepKind, str]] = {
    "active": "the list of open invoices",
    "recent": "the list of recent invoices",
    "late": "the list of expired invoices",
    "full": "the list of all invoices",
}

_log = structlog.get_logger()

SweepResult = Literal["done", "more", "paused"]  # more: the next page can be read at once


@dataclass(slots=True)
class FullSweepState:
    """How far a full sweep is: every invoice of a store, from the newest to the oldest.

    `is_first`: none has been completed before. `next_pause_at`: a large store's sweep pauses once
    it has read back to there (Unix seconds); None for other stores and for the first sweep.
    """

    began_at: int
    paginator: InvoicePaginator
    is_first: bool
    invoices_read: int
    unreadable: int = 0
    nameless: int = 0
    next_pause_at: int | None = None

    @classmethod
    async def begin(cls, context: StoreContext, *, fresh: bool) -> Self:
        """Resume the interrupted sweep, or begin a new one; always a new one if `fresh`."""
        label, record = context.label, context.record
        is_first = not fresh and await record.swept_at(label) is None
        checkpoint = None if fresh else await record.interrupted_sweep(label)
        stored = await record.invoice_count(label)
        began_at = context.clock() if checkpoint is None else checkpoint.began_at
        end = None if checkpoint is None else checkpoint.end
        is_paused_monthly = stored > _LARGE_STORE and not is_first
        return cls(
            began_at=began_at,
            paginator=InvoicePaginator(context.server, end=end, is_due=context.set_aside.is_due),
            is_first=is_first,
            invoices_read=stored if is_first else 0,
            next_pause_at=(began_at if end is None else end) - _MONTH
            if is_paused_monthly
            else None,
        )

    def count(self, answer: InvoiceAnswer) -> None:
        """Add the rows of a page."""
        self.invoices_read += len(answer.invoices)
        self.unreadable += sum(answer.bad.values())
        self.nameless += answer.unreadable_ids.count("")

    @property
    def all_nameless(self) -> int:
        """How many invoices were met that nothing can name."""
        return self.nameless + self.paginator.nameless

    def month_completed(self) -> bool:
        """Whether it has read a month since its last pause; then the next month begins."""
        end = self.paginator.end
        if self.next_pause_at is None or end is None or end > self.next_pause_at:
            return False
        self.next_pause_at = end - _MONTH
        return True


@dataclass(slots=True)
class ListReading:
    """A list that is read to its end, if need be over several tries.

    `began_at`, `since`: when it began, and from when on it shows invoices (Unix seconds).
    """

    paginator: InvoicePaginator
    began_at: int
    since: int
    ids: set[str] = field(default_factory=set[str])
    nameless: int = 0


class SweepRunner:
    """Runs the sweeps of one store. Each raises SourceError when it cannot continue.

    A list that could not be read to its end is continued at the next try, where it stood.
    `covered_until`: a sweep has seen everything created before (Unix seconds). `next_page_at`:
    when the next page of a full sweep is due, by the event loop's clock. `has_full`: a full sweep
    has been completed, now or by an earlier process. `has_left_out`: the last full sweep met
    invoices that nothing could name.
    """

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
        self._full: FullSweepState | None = None
        self._full_completed = False  # the record may not have committed that yet
        self._lists: dict[SweepKind, ListReading] = {}
        self._invoices_read = 0
        self._refunds_read = False
        self._is_read = False
        self.covered_until: int | None = None
        self.next_page_at = float("-inf")
        self.has_full = False
        self.has_left_out = False

    async def run(self, kind: SweepKind) -> SweepResult:
        """Run a sweep, or one page of a full sweep."""
        match kind:
            case "full":
                return await self._full_page()
            case "refunds":
                await self._refunds.fetch_and_publish()
                self._refunds_read = True
                await self._report_read()
            case "active":
                await self._active()
            case "recent":
                await self._recent()
            case "late":
                await self._late()
        return "done"

    def reading(self, kind: SweepKind) -> str:
        """What a sweep of this kind reads, or was reading when it failed."""
        return self._refunds.reading if kind == "refunds" else _LISTS[kind]

    async def _active(self) -> None:
        """All open invoices, and those that were open at the last sweep and are not any more."""
        context = self._context
        stored = await context.record.open_invoices(context.label)
        listed = await self._read_list("active", statuses=("new", "processing"))
        await self._fetch_each("active", [key for key in stored if key not in listed.ids])

    async def _recent(self) -> None:
        """Invoices created lately: within twice their lifetime, and since the last sweep."""
        context = self._context
        window = max(_SHORTEST_RECENT_SECONDS, 2 * await self._terms() + _OVERLAP_SECONDS)
        since = context.clock() - window
        if self.covered_until is not None:
            since = min(since, self.covered_until - _OVERLAP_SECONDS)
        listed = await self._read_list("recent", since=max(0, since))
        await context.outbox.put(
            SweepDone(context.label, context.clock(), "recent", listed.began_at, listed.since)
        )
        self.covered_until = listed.began_at

    async def _late(self) -> None:
        """Expired invoices that may still be paid, and payments that are still Processing."""
        context = self._context
        since = context.clock() - _LATE_SECONDS
        stored = await context.record.late_invoices(context.label, since)
        listed: set[str] = set()
        if len(stored) > _MOST_SINGLE_FETCHES:
            created_since = max(0, since - await self._terms() - _OVERLAP_SECONDS)
            reading = await self._read_list("late", statuses=("expired",), since=created_since)
            listed = reading.ids
        await self._fetch_each("late", [key for key in stored if key not in listed])

    async def _terms(self) -> int:
        """Seconds from an invoice's creation to the end of its monitoring.

        BTCPay's defaults when the server does not say: no sweep is to wait for that.
        """
        try:
            terms = await self._context.server.store_terms()
        except SourceError:
            terms = None
        if terms is None:
            return _DEFAULT_TERMS_SECONDS
        return terms.expiration_seconds + terms.monitoring_seconds

    async def _read_list(
        self, kind: Sweep, *, statuses: tuple[str, ...] = (), since: int | None = None
    ) -> ListReading:
        """Publish every invoice of a list; what was read."""
        context = self._context
        reading = self._lists.get(kind)
        if reading is None:
            paginator = InvoicePaginator(
                context.server, statuses=statuses, start=since, is_due=context.set_aside.is_due
            )
            reading = self._lists[kind] = ListReading(paginator, context.clock(), since or 0)
        await self._read_to_end(kind, reading)
        del self._lists[kind]
        context.health.set_nameless(kind, reading.nameless + reading.paginator.nameless)
        return reading

    async def _read_to_end(self, kind: Sweep, reading: ListReading) -> None:
        time = asyncio.get_running_loop().time
        paginator = reading.paginator
        while not paginator.ended:
            started_at = time()
            answer = await self._publish_page(kind, paginator)
            reading.ids.update(invoice.id for invoice in answer.invoices)
            reading.nameless += answer.unreadable_ids.count("")
            if not paginator.ended:
                await asyncio.sleep(started_at + self._timing.page_interval - time())

    async def _publish_page(self, kind: Sweep, paginator: InvoicePaginator) -> InvoiceAnswer:
        with self._publisher.sequencer.request() as number:
            answer = await paginator.read_page()
            await self._publisher.publish(number, kind, answer)
        # Only now: a page that could not be published is read again.
        paginator.advance(answer)
        return answer

    async def _fetch_each(self, kind: Sweep, ids: list[str]) -> None:
        """One by one; an invoice that cannot be read does not keep the others from being read."""
        for invoice_id in ids:
            if self._context.set_aside.is_due(invoice_id):
                await self._publisher.fetch_or_set_aside(invoice_id, kind)

    async def _full_page(self) -> SweepResult:
        """One page of the full sweep."""
        if self._full is None:
            self._full = await FullSweepState.begin(self._context, fresh=self._full_completed)
            await self._publish_progress(self._full)
        full = self._full
        started_at = asyncio.get_running_loop().time()
        full.count(await self._publish_page("full", full.paginator))
        if full.paginator.ended:
            await self._end_full(full)
            return "done"
        await self._publish_checkpoint(full)
        await self._publish_progress(full)
        pauses = full.month_completed()
        interval = self._timing.month_interval if pauses else self._timing.page_interval
        self.next_page_at = started_at + interval
        return "paused" if pauses else "more"

    async def _publish_checkpoint(self, full: FullSweepState) -> None:
        """Not after unreadable rows: nothing stores them, so a restart must read them again."""
        context = self._context
        if full.paginator.end is not None and not full.unreadable + full.all_nameless:
            await context.outbox.put(
                SweepReached(context.label, context.clock(), full.began_at, full.paginator.end)
            )

    async def _end_full(self, full: FullSweepState) -> None:
        """Everything was read. Rows that could not be read are unreadable, not missing."""
        context = self._context
        self._full, self._full_completed, self.has_full = None, True, True
        self.next_page_at = float("-inf")
        self.covered_until = max(full.began_at, self.covered_until or 0)
        # With something unread an empty window: nothing becomes missing.
        since = full.began_at if full.unreadable + full.all_nameless else 0
        await context.outbox.put(
            SweepDone(context.label, context.clock(), "full", full.began_at, since)
        )
        context.health.set_nameless("full", full.all_nameless)
        self.has_left_out = full.all_nameless > 0
        await self._publish_progress(full)
        await self._report_read()
        _log.info("full sweep completed", store=context.label, invoices=full.invoices_read)

    async def _publish_progress(self, full: FullSweepState) -> None:
        """Of the first full sweep only: the figures are incomplete until it has ended."""
        if full.is_first:
            self._invoices_read = full.invoices_read
            # The API gives no total, so one more page is expected until the last one; after it
            # the refunds are still to be read.
            await self._put_progress(left=1 if full.paginator.ended else PAGE)

    async def _report_read(self) -> None:
        """Report once that all invoices and refunds of the store were read."""
        if self.has_full and self._refunds_read and not self._is_read:
            self._is_read = True
            context = self._context
            await context.outbox.put(StoreRead(context.label, context.clock()))
            await self._put_progress(left=0)

    async def on_failure(self, kind: SweepKind) -> None:
        """A sweep cannot go on: nobody is to wait for it, health says what is missing."""
        if kind == ("refunds" if self.has_full else "full") and not self._is_read:
            await self._put_progress(left=0)

    async def _put_progress(self, left: int) -> None:
        context, done = self._context, self._invoices_read
        await context.outbox.put(
            Progress(f"btcpay {context.label}", done, done + left, context.clock())
        )

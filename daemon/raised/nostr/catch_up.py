"""Reads back what a relay has: after connecting, for new projects, and everything once a day.

The cursor is our own clock at the beginning of a back-fill that was completed, never a
`created_at`: one event dated 2030 would skip years. It moves only when every filter was read to
its end, and its events are on their way to the writer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from raised import clock
from raised.domain.event import Event
from raised.domain.observation import BackfillDone, Progress
from raised.errors import Refused, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.backfill import PAGE_SIZE, SHORT_PAGE, read_filter
from raised.nostr.connection import RelayConnection
from raised.nostr.contained_page import contained_page
from raised.nostr.filters import Filter, pubkey_filters, public_filters
from raised.nostr.page_reader import Page, PageReader, open_page_reader
from raised.nostr.relay_state import RelayContext, RelayState

RATE_LIMIT_ATTEMPTS: Final = 6
REFUSED_MAX: Final = 2  # filters refused, and none answered: the relay refuses everything
# Events of a page beyond its limit were published meanwhile, or the relay ignores the limit.
FLOOD: Final = 2 * PAGE_SIZE
_NO_PAGE: Final = Page((), is_whole=False)

KeepLive = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A back-fill: what is to be read, and what is true when it is complete."""

    filters: tuple[Filter, ...]
    pubkeys: tuple[str, ...]
    began_at: int  # by our clock
    began: float  # by the event loop's clock, which is never set
    full: bool
    moves_cursor: bool
    reports_progress: bool  # it is the first of this relay ever


class CatchUp:
    """The back-fills of a connection. `keep_live` maintains the live subscriptions meanwhile."""

    def __init__(
        self,
        connection: RelayConnection,
        context: RelayContext,
        state: RelayState,
        keep_live: KeepLive,
    ) -> None:
        self._connection = connection
        self._context = context
        self._state = state
        self._keep_live = keep_live
        self._caught_up = False
        self._refused = 0  # filters that were refused on this connection
        self._was_answered = False  # one was not
        timing = context.timing
        self._backoff = Backoff(timing.resubscribe_first, timing.resubscribe_max)

    async def run_if_due(self) -> bool:
        """Read back what is due; True when something was read to its end.

        Raises Unavailable when the connection is lost.
        """
        if not self._backoff.is_due():
            return False
        plan = await self._plan()
        if not plan.filters:
            return False
        try:
            is_complete = await self._read(plan)
        except Refused as refusal:
            self._context.health.begin_backfill_refusal(self._context.code_of(refusal.code))
            is_complete = False
        if is_complete:
            await self._complete(plan)
        else:
            self._context.health.begin_problem("incomplete")
            self._backoff.on_failure()
        # Last: whoever reads that it has ended must find the cursor, or else that it failed.
        await self._end_first(plan)
        return is_complete

    def has_tried(self, pubkeys: Collection[str]) -> bool:
        """Whether all that these keys wrote was read back, or the last attempt to do so failed."""
        return self._backoff.failures > 0 or self._state.backfill.read_pubkeys.issuperset(pubkeys)

    async def _plan(self) -> _Plan:
        backfill, now = self._state.backfill, clock.now()
        await self._load_cursor()
        # Our clock was set back: what came meanwhile is behind no cursor.
        if backfill.drop_cursor_ahead_of(now) or backfill.take_gap():
            self._caught_up = False
        full = backfill.is_full_due(now, self._context.timing.full_interval)
        return _Plan(
            filters=tuple(self._due_filters(full=full)),
            pubkeys=self._state.wanted.pubkeys,
            began_at=now,
            began=asyncio.get_running_loop().time(),
            full=full,
            moves_cursor=full or not self._caught_up,
            reports_progress=backfill.is_first and backfill.cursor is None,
        )

    def _due_filters(self, *, full: bool) -> list[Filter]:
        """Everything, or what came since the cursor and all of new public keys."""
        backfill, pubkeys = self._state.backfill, self._state.wanted.pubkeys
        if full:
            return [*public_filters(), *pubkey_filters(pubkeys)]
        new = list(pubkey_filters([key for key in pubkeys if key not in backfill.read_pubkeys]))
        if self._caught_up or backfill.cursor is None:
            return new
        since = {"since": backfill.cursor.value - self._context.timing.cursor_overlap}
        read = pubkey_filters([key for key in pubkeys if key in backfill.read_pubkeys])
        return [*({**conditions, **since} for conditions in (*public_filters(), *read)), *new]

    async def _load_cursor(self) -> None:
        backfill, context = self._state.backfill, self._context
        if backfill.cursor is None:
            backfill.cursor = await context.record.relay_cursor(context.url)
            context.health.cursor_at = backfill.cursor.value if backfill.cursor else None

    async def _read(self, plan: _Plan) -> bool:
        is_complete = True
        async with AsyncExitStack() as stack:
            stored = await self._open_stored_events(stack, plan)
            for done, conditions in enumerate(plan.filters):
                if plan.reports_progress:
                    await self._report_progress(done, len(plan.filters))
                is_whole = await self._read_contained(stored, conditions, compare=plan.full)
                is_complete = is_complete and is_whole
        return is_complete

    async def _read_contained(
        self, stored: "RelayStoredEvents", conditions: Filter, *, compare: bool
    ) -> bool:
        """Read a filter; False when it was not read to its end, which stops no other filter.

        Raises Refused when the relay refuses for the time being, or everything.
        """
        try:
            is_whole = await read_filter(stored, conditions, None, compare=compare)
        except Refused as refusal:
            self._refused += 1
            is_all = self._refused >= REFUSED_MAX and not self._was_answered
            if is_all or refusal.code == "rate-limited":
                raise
            self._context.health.begin_backfill_refusal(self._context.code_of(refusal.code))
            return False
        self._was_answered = True
        return is_whole

    async def _open_stored_events(self, stack: AsyncExitStack, plan: _Plan) -> "RelayStoredEvents":
        """With a page reader, unless little is to be read or the relay grants one connection."""
        context, reader = self._context, None
        if any("since" not in conditions for conditions in plan.filters):
            with contextlib.suppress(Unavailable):
                opening = open_page_reader(context.endpoint, context.health)
                reader = await stack.enter_async_context(opening)
        return RelayStoredEvents(self._connection, reader, context, self._state, self._keep_live)

    async def _complete(self, plan: _Plan) -> None:
        context, backfill = self._context, self._state.backfill
        # The cursor must not reach the writer before the events that it stands for.
        await context.ingest.drain_pages()
        context.health.end_backfill_refusal()
        backfill.read_pubkeys.update(plan.pubkeys)
        self._backoff.on_success(0)
        if not plan.moves_cursor:
            return
        self._caught_up = True
        now = clock.now()
        # If our clock was ahead at the beginning and was set back since, it began earlier.
        began_at = min(plan.began_at, now - int(asyncio.get_running_loop().time() - plan.began))
        backfill.advance_cursor(began_at, full=plan.full)
        context.health.on_backfill_complete(began_at)
        await context.outbox.put(BackfillDone(context.url, now, began_at, plan.full))

    async def _end_first(self, plan: _Plan) -> None:
        """End the progress report of the first back-fill, also when it failed: see its health."""
        self._state.backfill.is_first = False
        if plan.reports_progress:
            await self._report_progress(len(plan.filters), len(plan.filters))

    async def _report_progress(self, done: int, total: int) -> None:
        progress = Progress(f"backfill {self._context.url}", done, total, clock.now())
        await self._context.outbox.put(progress)


class RelayStoredEvents:
    """The stored events of a relay (backfill.StoredEvents).

    The page reader is used where much is read, the live connection where certainty is needed.
    Events beyond the `limit` of a filter are ingested all the same, and reported as a flood.
    """

    def __init__(
        self,
        connection: RelayConnection,
        reader: PageReader | None,
        context: RelayContext,
        state: RelayState,
        keep_live: KeepLive,
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._context = context
        self._state = state
        self._keep_live = keep_live

    @property
    def largest_page(self) -> int:
        return self._state.largest_page

    @largest_page.setter
    def largest_page(self, count: int) -> None:
        self._state.largest_page = count

    async def page(self, conditions: Filter) -> Sequence[Event]:
        await self._keep_live()
        page = await self._fast_page(conditions)
        # A short page is read again on the live connection anyway, which sees every byte.
        if page.is_whole and (page.is_accounted or len(page.events) < SHORT_PAGE):
            return self._checked_size(page.events)
        await self.ingest(page.events)  # no reliable answer, but valid events
        return await self.page_with_eose(conditions)

    async def _fast_page(self, conditions: Filter) -> Page:
        if self._reader is None:
            return _NO_PAGE
        try:
            page = await self._reader.page(conditions)
        except Unavailable as error:
            self._context.health.record_error(error.code, clock.now())
            page = _NO_PAGE
        if not page.is_whole:  # perhaps this relay grants one connection only
            self._reader = None
        return page

    async def page_with_eose(self, conditions: Filter) -> Sequence[Event]:
        timing = self._context.timing
        backoff = Backoff(timing.resubscribe_first, timing.resubscribe_max)
        for attempt in range(RATE_LIMIT_ATTEMPTS):
            await self._keep_live()
            try:
                return self._checked_size(await contained_page(self._connection, conditions))
            except Refused as refusal:
                if refusal.code != "rate-limited" or attempt == RATE_LIMIT_ATTEMPTS - 1:
                    raise
            await asyncio.sleep(backoff.on_failure())
        raise AssertionError("the last attempt returns or raises")

    def _checked_size(self, events: Sequence[Event]) -> Sequence[Event]:
        if len(events) >= FLOOD:
            self._context.health.record_error("flood", clock.now())
        return events

    async def missing_ids(
        self, conditions: Filter, events: Sequence[Event]
    ) -> Sequence[str] | None:
        if self._reader is None or not self._state.supports_nip77:
            return None
        missing = await self._reader.missing_ids(conditions, events)
        self._state.supports_nip77 = missing is not None
        return missing

    async def ingest(self, events: Sequence[Event]) -> None:
        if events:
            await self._context.ingest.put_page(events)

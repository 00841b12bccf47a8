"""A relay as a back-fill sees it: the pager for much, the line where certainty is needed.

What a relay sends beyond the `limit` of a filter is taken all the same, and called a flood.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from raised import clock
from raised.domain.event import Event
from raised.errors import Refused, Unavailable
from raised.net.backoff import backoff_seconds
from raised.nostr.backfill import CAPPED, PAGE
from raised.nostr.connection import Line
from raised.nostr.filters import Filter
from raised.nostr.page_reader import Page, Pager
from raised.nostr.relay_state import Standing

ATTEMPTS: Final = 6
FLOOD: Final = 2 * PAGE  # a page may be more than full by what was published meanwhile
NOTHING: Final = Page((), whole=False)


class RelayShelf:
    """The shelf of one relay (backfill.Shelf). Keeps the live subscriptions up meanwhile."""

    def __init__(
        self,
        line: Line,
        pager: Pager | None,
        standing: Standing,
        keep_live: Callable[[], Awaitable[None]],
    ) -> None:
        self._line = line
        self._pager = pager
        self._of = standing
        self._keep_live = keep_live

    @property
    def largest(self) -> int:
        return self._of.largest

    @largest.setter
    def largest(self, count: int) -> None:
        self._of.largest = count

    async def page(self, asked: Filter) -> Sequence[Event]:
        await self._keep_live()
        page = await self._fast_page(asked)
        # The line is asked after a short page anyway, and sees what this one did not.
        if page.whole and (page.clean or len(page.events) < CAPPED):
            return self._measured(page.events)
        await self.take(page.events)  # no certain answer, but good events
        return await self.sure_page(asked)

    async def _fast_page(self, asked: Filter) -> Page:
        if self._pager is None:
            return NOTHING
        health = self._of.health
        try:
            page = await self._pager.page(asked)
        except Unavailable as trouble:
            health.record_error(trouble.code, clock.now())
            page = NOTHING
        if not page.whole:  # perhaps this relay gives one connection only
            self._pager = None
        return page

    async def sure_page(self, asked: Filter) -> Sequence[Event]:
        timing = self._of.endpoint.timing
        for attempt in range(ATTEMPTS):
            await self._keep_live()
            try:
                return self._measured(await self._line.page(asked))
            except Refused as closed:
                if closed.code != "rate-limited" or attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(
                backoff_seconds(timing.resubscribe, timing.resubscribe_max, attempt)
            )
        raise AssertionError("the last attempt returns or raises")

    def _measured(self, events: Sequence[Event]) -> Sequence[Event]:
        if len(events) >= FLOOD:
            self._of.health.record_error("flood", clock.now())
        return events

    async def unseen(self, asked: Filter, held: Sequence[Event]) -> Sequence[str] | None:
        if self._pager is None or not self._of.compares:
            return None
        ids = await self._pager.unseen(asked, held)
        self._of.compares = ids is not None
        return ids

    async def take(self, events: Sequence[Event]) -> None:
        if events:
            await self._of.intake.put_page(events)

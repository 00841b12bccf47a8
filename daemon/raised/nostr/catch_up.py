"""What a relay holds, read back to the end.

The cursor is our own clock at the beginning of a back-fill that was completed, never a
`created_at`: one event dated 2030 would skip years. It moves only when every lane came to its end.
"""

import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from raised import clock
from raised.domain.observation import BackfillDone, Progress
from raised.errors import Refused, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.backfill import read_lane
from raised.nostr.connection import Line
from raised.nostr.filters import Filter, key_lanes, public_lanes
from raised.nostr.ingest import TOLERATED_SECONDS
from raised.nostr.page_reader import open_pager
from raised.nostr.ports import RelayCursor
from raised.nostr.relay_state import Standing
from raised.nostr.stored_events import RelayShelf


@dataclass(frozen=True, slots=True)
class _Plan:
    """A back-fill: what is to be read, and what is true when it is complete."""

    lanes: tuple[Filter, ...]
    keys: tuple[str, ...]
    began_at: int
    full: bool
    moves_cursor: bool
    shows: bool  # its progress: the first ever of this relay


class Reading:
    """The back-fills of one connection: after connecting, for new keys, and all once a day."""

    def __init__(
        self, line: Line, standing: Standing, keep_live: Callable[[], Awaitable[None]]
    ) -> None:
        self._line = line
        self._of = standing
        self._keep_live = keep_live
        self._caught_up = False
        timing = standing.endpoint.timing
        self._backoff = Backoff(timing.resubscribe, timing.resubscribe_max)

    async def keep(self) -> bool:
        """Have all that the relay holds on its way into the record. True when a read-back ended.

        Raises Unavailable when the line is lost.
        """
        if not self._backoff.is_due():
            return False
        plan = await self._plan()
        if not plan.lanes:
            return False
        try:
            complete = await self._read(plan)
        except Refused as closed:
            self._of.refused(closed.code)
            complete = False
        except Unavailable:
            await self._first_ends(plan)
            raise
        await self._first_ends(plan)
        if complete:
            await self._complete(plan)
        else:
            self._of.health.begin_problem("incomplete")
            self._backoff.on_failure()
        return complete

    async def _plan(self) -> _Plan:
        of, now = self._of, clock.now()
        if of.cursor is None:
            of.cursor = await of.record.relay_cursor(of.name)
            of.health.cursor_at = of.cursor.value if of.cursor else None
        self._caught_up = self._caught_up and not of.gap
        of.gap = False
        full = of.full or self._is_full_due(now)
        keys = of.interest.keys
        lanes = list(key_lanes([key for key in keys if full or key not in of.read]))
        if full:
            lanes = [*public_lanes(), *lanes]
        elif not self._caught_up and of.cursor is not None:
            since = {"since": of.cursor.value - of.endpoint.timing.overlap}
            known = key_lanes([key for key in keys if key in of.read])
            lanes = [*({**lane, **since} for lane in (*public_lanes(), *known)), *lanes]
        shows = of.is_first and of.cursor is None
        return _Plan(tuple(lanes), keys, now, full, full or not self._caught_up, shows)

    def _is_full_due(self, now: int) -> bool:
        cursor = self._of.cursor
        if cursor is None or cursor.full_at is None:
            return True
        return now - cursor.full_at >= self._of.endpoint.timing.full

    async def _read(self, plan: _Plan) -> bool:
        of = self._of
        complete = True
        async with AsyncExitStack() as stack:
            pager = None
            if any("since" not in lane for lane in plan.lanes):
                with contextlib.suppress(Unavailable):  # some relays give one connection only
                    pager = await stack.enter_async_context(open_pager(of.endpoint, of.health))
            shelf = RelayShelf(self._line, pager, of, self._keep_live)
            for done, lane in enumerate(plan.lanes):
                if plan.shows:
                    await self._progress(done, len(plan.lanes))
                until = clock.now() + TOLERATED_SECONDS
                whole = await read_lane(shelf, lane, until, compare=plan.full)
                complete = complete and whole
        return complete

    async def _complete(self, plan: _Plan) -> None:
        of = self._of
        await of.intake.drain_pages()  # the cursor must not overtake what it stands for
        of.read.update(plan.keys)
        self._backoff.on_success(0)
        if not plan.moves_cursor:
            return
        self._caught_up = True
        of.full = of.full and not plan.full
        full_at = plan.began_at if plan.full else of.cursor.full_at if of.cursor else None
        of.cursor = RelayCursor(plan.began_at, full_at)
        of.health.on_backfill_complete(plan.began_at)
        await of.outbox.put(BackfillDone(of.name, clock.now(), plan.began_at, plan.full))

    async def _first_ends(self, plan: _Plan) -> None:
        """Nobody waits for it any more, also when it failed: then health says so."""
        self._of.is_first = False
        if plan.shows:
            await self._progress(len(plan.lanes), len(plan.lanes))

    async def _progress(self, done: int, total: int) -> None:
        await self._of.outbox.put(Progress(f"backfill {self._of.name}", done, total, clock.now()))

"""Events by their id: those that founding transactions name and nobody has given yet.

And the other way round: a relay that may be written to is given the project events it lacks.
"""

from raised import clock
from raised.domain.observation import EventsSeen
from raised.errors import Refused
from raised.net.backoff import Backoff
from raised.nostr.connection import Line
from raised.nostr.filters import IDS_PER_REQ, Filter
from raised.nostr.relay_state import Standing

WRITTEN_AT_ONCE = 100


class Asking:
    """Asked when there is a new id, and again from time to time."""

    def __init__(self, line: Line, standing: Standing) -> None:
        self._line = line
        self._of = standing
        self._asked: tuple[str, ...] = ()
        self._not_taken: set[str] = set()
        pace = standing.way.pace
        self._backoff = Backoff(pace.resubscribe, pace.resubscribe_max)

    async def keep(self, *, now: bool) -> None:
        """Ask and write when it is due, or `now`. Raises Unavailable when the line is lost."""
        missing = self._of.interest.missing
        if not now and not self._backoff.is_due() and set(missing) <= set(self._asked):
            return
        self._asked = missing
        try:
            await self._ask(missing)
        except Refused as closed:
            self._of.refused(closed.code)
        if self._of.way.settings.write and self._of.health.complete:
            await self._write()
        self._backoff.on_success(self._of.way.pace.ids)

    async def _ask(self, missing: tuple[str, ...]) -> None:
        for start in range(0, len(missing), IDS_PER_REQ):
            asked: Filter = {"ids": list(missing[start : start + IDS_PER_REQ])}
            if page := await self._line.page(asked):
                await self._of.intake.put_page(page)

    async def _write(self) -> None:
        for event in await self._of.record.lacking(self._of.name, WRITTEN_AT_ONCE):
            if event.id in self._not_taken:
                continue
            try:
                await self._line.write(event)
            except Refused:
                self._not_taken.add(event.id)
                self._of.health.record_error("not_written", clock.now())
            else:
                seen = EventsSeen(self._of.name, clock.now(), held=(event.id,))
                await self._of.outbox.put(seen)

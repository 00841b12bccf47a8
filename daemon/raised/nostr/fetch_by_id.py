"""Events by their id: those that founding transactions name and nobody has given yet.

And the other way round: a relay that may be written to is given the project events it lacks.
"""

import asyncio
from collections.abc import Iterable, Sequence

from raised import clock
from raised.domain.event import Event, is_authentic
from raised.domain.observation import EventsSeen
from raised.errors import Refused, SourceError
from raised.net.backoff import Backoff
from raised.nostr.connection import Line
from raised.nostr.filters import IDS_PER_REQ, Filter
from raised.nostr.health import RelayHealth
from raised.nostr.page_reader import open_pager
from raised.nostr.relay_state import Standing
from raised.nostr.sdk_client import RelayEndpoint, use_running_loop

WRITTEN_AT_ONCE = 100


class Asking:
    """Asked when there is a new id, and again from time to time."""

    def __init__(self, line: Line, standing: Standing) -> None:
        self._line = line
        self._of = standing
        self._asked: tuple[str, ...] = ()
        self._not_taken: set[str] = set()
        timing = standing.endpoint.timing
        self._backoff = Backoff(timing.resubscribe, timing.resubscribe_max)

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
        if self._of.endpoint.settings.write and self._of.health.complete:
            await self._write()
        self._backoff.on_success(self._of.endpoint.timing.ids)

    async def _ask(self, missing: tuple[str, ...]) -> None:
        for start in range(0, len(missing), IDS_PER_REQ):
            asked: Filter = {"ids": list(missing[start : start + IDS_PER_REQ])}
            if page := await self._line.page(asked):
                await self._of.intake.put_page(page)

    async def _write(self) -> None:
        for event in await self._of.record.events_not_on_relay(self._of.name, WRITTEN_AT_ONCE):
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


async def find_events(endpoints: Sequence[RelayEndpoint], ids: Iterable[str]) -> dict[str, Event]:
    """Those of these events that any of the relays gives, authentic, by id.

    Trouble with a relay is as if it had none of them.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    use_running_loop()
    answers = await asyncio.gather(*(_find_on(endpoint, wanted) for endpoint in endpoints))
    return {event.id: event for answer in answers for event in answer}


async def _find_on(endpoint: RelayEndpoint, ids: list[str]) -> list[Event]:
    health = RelayHealth(endpoint.settings.url, endpoint.timing.grudge)
    try:
        async with open_pager(endpoint, health) as pager:
            page = await pager.page({"ids": ids})
    except SourceError:
        return []
    return [event for event in page.events if event.id in ids and is_authentic(event)]

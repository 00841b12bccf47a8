"""Events by their ids: those that founding transactions name and the record lacks.

And the other way round: a relay that we may write to is sent the project events that it lacks.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from raised import clock
from raised.domain.event import Event, is_authentic, is_storable
from raised.domain.observation import EventsSeen
from raised.errors import Refused, SourceError, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.connection import RelayConnection
from raised.nostr.filters import IDS_PER_REQ
from raised.nostr.health import RelayHealth
from raised.nostr.page_reader import open_page_reader
from raised.nostr.raw_request import request_raw
from raised.nostr.relay_state import RelayContext, RelayState
from raised.nostr.sdk_client import RelayEndpoint, use_running_loop

WRITES_MAX: Final = 100  # events written to a relay each time


class MissingEvents:
    """Fetches missing events, and writes them, for new ids at once and else at intervals."""

    def __init__(
        self, connection: RelayConnection, context: RelayContext, state: RelayState
    ) -> None:
        self._connection = connection
        self._context = context
        self._state = state
        self._requested_ids: tuple[str, ...] = ()
        self._raw_requests: dict[str, float] = {}  # when an id was requested without the library
        self._refused_ids: set[str] = set()
        timing = context.timing
        self._backoff = Backoff(timing.resubscribe_first, timing.resubscribe_max)

    async def exchange(self, *, now: bool) -> None:
        """Fetch and write when it is due, or `now`. Raises Unavailable without a connection."""
        missing = self._state.wanted.event_ids
        has_new = not set(missing) <= set(self._requested_ids)
        if not now and not has_new and not self._backoff.is_due():
            return
        self._requested_ids = missing
        try:
            await self._fetch(missing)
        except Refused as refusal:
            self._context.note_closed(refusal.code)
        # After the first back-fill: before it, we do not know what the relay has.
        if self._context.endpoint.settings.write and self._context.health.complete:
            await self._write()
        self._backoff.on_success(self._context.timing.missing_interval)

    def has_asked(self, ids: Collection[str]) -> bool:
        """Whether the relay was asked for these on this connection, whatever it answered."""
        return set(ids) <= set(self._requested_ids)

    async def _fetch(self, ids: tuple[str, ...]) -> None:
        odd = self._context.health.odd_events
        odd.keep_only(ids)
        due = [id_ for id_ in ids if odd.is_due(id_)]
        for start in range(0, len(due), IDS_PER_REQ):
            part = due[start : start + IDS_PER_REQ]
            events = await self._connection.page({"ids": part})
            if events:
                await self._context.ingest.put_page(events)
            await self._fetch_raw(set(part) - {event.id for event in events if is_storable(event)})

    async def _fetch_raw(self, ids: set[str]) -> None:
        """Fetch those that the library may have left out. Most are simply not on this relay."""
        time, timing = asyncio.get_running_loop().time(), self._context.timing
        recent = time - timing.missing_interval
        self._raw_requests = {id_: at for id_, at in self._raw_requests.items() if at > recent}
        if not (due := ids - self._raw_requests.keys()):
            return
        self._raw_requests |= dict.fromkeys(due, time)
        with contextlib.suppress(Unavailable):
            answer = await request_raw(self._context.endpoint, {"ids": sorted(due)})
            if answer.events:
                await self._context.ingest.put_page(answer.events)
            for id_ in answer.odd_ids & due:
                self._context.health.set_odd_event_aside(id_)

    async def _write(self) -> None:
        context = self._context
        for event in await context.record.events_not_on_relay(context.url, WRITES_MAX):
            if event.id in self._refused_ids:
                continue
            try:
                await self._connection.write(event)
            except Refused:
                self._refused_ids.add(event.id)
                context.health.record_error("not_written", clock.now())
            else:
                await context.outbox.put(EventsSeen(context.url, clock.now(), held=(event.id,)))


async def find_events(endpoints: Sequence[RelayEndpoint], ids: Iterable[str]) -> dict[str, Event]:
    """Those of these events that any of the relays has, verified, by id.

    A relay that fails counts as one that has none of them.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    use_running_loop()
    answers = await asyncio.gather(*(_find_on(endpoint, wanted) for endpoint in endpoints))
    return {event.id: event for answer in answers for event in answer}


async def _find_on(endpoint: RelayEndpoint, ids: list[str]) -> list[Event]:
    health = RelayHealth(endpoint.settings.url, endpoint.timing.bad_data_cooldown)
    found: list[Event] = []
    with contextlib.suppress(SourceError):
        async with open_page_reader(endpoint, health) as reader:
            page = await reader.page({"ids": ids})
        found = [event for event in page.events if event.id in ids and is_authentic(event)]
    left = sorted(set(ids) - {event.id for event in found})
    if left:  # the library leaves out what has expired
        with contextlib.suppress(SourceError):
            found += (await request_raw(endpoint, {"ids": left})).events
    return found

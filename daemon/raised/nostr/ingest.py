"""From a relay to the record: verifies what a relay sent, and notes which events it has.

nostr-sdk has checked ids and signatures, but it accepts a forgery under an id that it knows
(docs/nostr.md 5.2), so its check is only a filter. We look an id up first: of an event in the
record only the fact is recorded that this relay has it, too; its body is not read.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Never

from raised import clock
from raised.domain.event import Event, event_id, is_authentic, is_replaceable, is_storable
from raised.domain.observation import EventsSeen, Observation
from raised.errors import InvalidInput
from raised.nostr.filters import MESSAGE, is_wanted, without_content
from raised.nostr.health import RelayHealth
from raised.nostr.ports import RelayRecord

BATCH_MAX: Final = 1_000  # live events verified and observed together
BATCH_WAIT_SECONDS: Final = 0.1  # for a batch to grow when events come in numbers
PAGE_PART_MAX: Final = 500  # events of a page observed together: one commit, not too long
LIVE_QUEUE_MAX: Final = 2_000  # live events that wait; then the relay waits
PAGE_QUEUE_MAX: Final = 2  # parts of pages that wait; then no further page is fetched
FUTURE_TOLERANCE_SECONDS: Final = 900  # of a wrong clock; the usual bound of NIP-22
SEEN_MAX: Final = 50_000
FLOOD_PER_MINUTE: Final = 6_000  # live events of one relay


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """A batch after verification."""

    genuine: tuple[Event, ...]
    known_ids: tuple[str, ...]  # of genuine events that are in the record
    kinds: tuple[int, ...]  # of every event above
    forged: int


def verify_batch(events: Sequence[Event], known: Collection[str]) -> VerifiedBatch:
    """Verify ids and signatures. Of `known` ids, which are in the record, the hash is enough.

    A forgery never takes the place of the genuine event, in the same batch or later.
    """
    genuine: dict[str, Event] = {}
    known_kinds: dict[str, int] = {}
    forged = 0
    for event in events:
        if event.id in known or event.id in genuine:
            if not _has_its_id(event):
                forged += 1
            elif event.id not in genuine:
                known_kinds[event.id] = event.kind
        elif is_authentic(event):
            genuine[event.id] = event
        else:
            forged += 1
    kinds = (*(event.kind for event in genuine.values()), *known_kinds.values())
    return VerifiedBatch(tuple(genuine.values()), tuple(known_kinds), kinds, forged)


class SeenCache:
    """The ids handed to the record last, by any relay. Spares it most look-ups."""

    def __init__(self, size: int = SEEN_MAX) -> None:
        self._ids: dict[str, None] = {}
        self._size = size

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def add(self, ids: Collection[str]) -> None:
        """Remember these ids, and forget the oldest beyond the size."""
        for id_ in ids:
            self._ids[id_] = None
        while len(self._ids) > self._size:
            del self._ids[next(iter(self._ids))]


class Ingest:
    """The events of a relay on their way to the record, in bounded queues.

    A full queue makes this relay wait and no other.
    """

    def __init__(
        self,
        health: RelayHealth,
        record: RelayRecord,
        seen: SeenCache,
        outbox: asyncio.Queue[Observation],
    ) -> None:
        self.requested_ids: set[str] = set()  # recorded whatever the kind of the event
        self._health = health
        self._record = record
        self._seen = seen
        self._outbox = outbox
        self._minute = self._count_in_minute = 0
        self._live: asyncio.Queue[Event] = asyncio.Queue(LIVE_QUEUE_MAX)
        self._pages: asyncio.Queue[Sequence[Event]] = asyncio.Queue(PAGE_QUEUE_MAX)

    async def put(self, event: Event) -> None:
        """Queue a live event; waits while the queue is full."""
        if self._live.full():
            await self._live.put(event)
        else:  # the common case costs no task switch
            self._live.put_nowait(event)

    async def put_page(self, events: Sequence[Event]) -> None:
        """Queue a page of a back-fill, in parts; waits while the queue is full."""
        for start in range(0, len(events), PAGE_PART_MAX):
            await self._pages.put(events[start : start + PAGE_PART_MAX])

    async def drain(self) -> None:
        """Wait until everything queued was observed."""
        await self._live.join()
        await self._pages.join()

    async def drain_pages(self) -> None:
        """Wait until every queued page was observed; live events may go on coming."""
        await self._pages.join()

    async def process_live(self) -> Never:
        """Observe live events: a single event at once, many in batches.

        Threads, look-ups and commits cost by the batch, so when the last batch had more than one
        event, the next is given a moment to grow.
        """
        is_busy = False
        while True:
            batch = [await self._live.get()]
            if is_busy and self._live.qsize() < BATCH_MAX:
                await asyncio.sleep(BATCH_WAIT_SECONDS)
            while len(batch) < BATCH_MAX and not self._live.empty():
                batch.append(self._live.get_nowait())
            is_busy = len(batch) > 1
            self._count_live(len(batch))
            await self._observe(batch)
            for _ in batch:
                self._live.task_done()

    async def process_pages(self) -> Never:
        """Observe pages, so that the next page can be fetched meanwhile."""
        while True:
            await self._observe(await self._pages.get())
            self._pages.task_done()

    async def _observe(self, batch: Sequence[Event]) -> None:
        now = clock.now()
        events = [event for event in batch if self._is_acceptable(event, now)]
        if not events:
            return
        known = await self._known_ids({event.id for event in events})
        verified = await asyncio.to_thread(verify_batch, events, known)
        self._health.record_events(now, verified.kinds, forged=verified.forged)
        if not verified.genuine and not verified.known_ids:
            return
        genuine = tuple(
            without_content(event) if event.kind == MESSAGE else event for event in verified.genuine
        )
        await self._outbox.put(EventsSeen(self._health.url, now, genuine, verified.known_ids))
        # Only now: that another relay has an event must not reach the record before the event.
        self._seen.add([event.id for event in genuine])

    def _count_live(self, count: int) -> None:
        """Report a flood once in the minute in which the limit is passed."""
        minute = clock.now() // 60
        if minute != self._minute:
            self._minute, self._count_in_minute = minute, 0
        before, self._count_in_minute = self._count_in_minute, self._count_in_minute + count
        if before < FLOOD_PER_MINUTE <= self._count_in_minute:
            self._health.record_error("flood", clock.now())

    async def _known_ids(self, ids: set[str]) -> set[str]:
        """Those of these ids that are in the record, or before these events in the outbox."""
        seen = {id_ for id_ in ids if id_ in self._seen}
        unseen = ids - seen
        return seen | await self._record.known_event_ids(unseen) if unseen else seen

    def _is_acceptable(self, event: Event, now: int) -> bool:
        if not is_storable(event):
            return False
        if event.id in self.requested_ids:  # what the chain commits to is an id, whatever its date
            return True
        is_ahead = event.created_at > now + FUTURE_TOLERANCE_SECONDS
        if is_ahead and is_replaceable(event.kind):
            # It would replace others for years; it is read again when it is due. Anybody can
            # make such events, so they are counted, and the relay is not to blame.
            self._health.count_error("from_the_future")
            return False
        return is_wanted(event)


def _has_its_id(event: Event) -> bool:
    try:
        return event_id(event) == event.id
    except InvalidInput:
        return False

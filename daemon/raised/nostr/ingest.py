"""Between a relay and the record: what is kept of what a relay delivered, and who checked it.

The library has checked ids and signatures, but it can be fooled with a known id (nostr-sdk.md
5.2), so its check is only a filter. Ours counts, and it looks an id up first: of a known event
only the fact is kept that this relay holds it; its body never travels further, whatever it says.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Never

from raised import clock
from raised.domain.event import Event, event_id, is_authentic
from raised.domain.observation import EventsSeen, Observation
from raised.errors import InvalidInput
from raised.nostr.filters import MESSAGE, envelope, is_wanted
from raised.nostr.health import RelayHealth
from raised.nostr.ports import RelayRecord

BATCH: Final = 1_000
PIECE: Final = 500
GROWING_SECONDS: Final = 0.1
WAITING: Final = 2_000
PAGES_WAITING: Final = 2
TOLERATED_SECONDS: Final = 900  # a clock may be wrong by so much; NIP-22's usual bound
REMEMBERED: Final = 50_000
FLOOD: Final = 6_000  # live events of one relay in a minute


@dataclass(frozen=True, slots=True)
class Sifted:
    """A batch after our check."""

    genuine: tuple[Event, ...]
    held: tuple[str, ...]
    kinds: tuple[int, ...]  # of every event above
    forged: int


def sift(events: Sequence[Event], known: Collection[str]) -> Sifted:
    """Our own check of a batch. `known` ids are in the record: there the hash alone is compared.

    A forgery never stands in for the genuine event behind it, in the same batch or later.
    """
    genuine: dict[str, Event] = {}
    held: dict[str, int] = {}
    forged = 0
    for event in events:
        if event.id in known or event.id in genuine:
            if not _has_its_id(event):
                forged += 1
            elif event.id not in genuine:
                held[event.id] = event.kind
        elif is_authentic(event):
            genuine[event.id] = event
        else:
            forged += 1
    kinds = (*(event.kind for event in genuine.values()), *held.values())
    return Sifted(tuple(genuine.values()), tuple(held), kinds, forged)


class Recent:
    """Ids that were handed to the record lately, by any relay. Spares it most questions."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._ids: dict[str, None] = {}
        self._size = size

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def add(self, ids: Collection[str]) -> None:
        for id_ in ids:
            self._ids[id_] = None
        while len(self._ids) > self._size:
            del self._ids[next(iter(self._ids))]


class Intake:
    """One relay's way into the record. Bounded: a full queue holds the relay back, nobody else."""

    def __init__(
        self,
        health: RelayHealth,
        record: RelayRecord,
        recent: Recent,
        outbox: asyncio.Queue[Observation],
    ) -> None:
        self._health = health
        self._record = record
        self._recent = recent
        self._outbox = outbox
        self.asked: set[str] = set()  # ids that are wanted whatever their kind
        self._minute = self._in_minute = 0
        self._singles: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._pages: asyncio.Queue[Sequence[Event]] = asyncio.Queue(PAGES_WAITING)

    async def put(self, event: Event) -> None:
        """Take a live event; waits while too many are waiting."""
        if self._singles.full():
            await self._singles.put(event)
        else:
            self._singles.put_nowait(event)

    async def put_page(self, events: Sequence[Event]) -> None:
        """Take a page of a back-fill, in pieces that do not hold the writer up for long."""
        for start in range(0, len(events), PIECE):
            await self._pages.put(events[start : start + PIECE])

    async def drain(self) -> None:
        """Wait until everything taken has been observed."""
        await self._singles.join()
        await self._pages.join()

    async def drain_pages(self) -> None:
        """Wait until every page taken has been observed; live events may go on coming."""
        await self._pages.join()

    async def follow_singles(self) -> Never:
        """Observe live events: one that comes alone at once, many in batches.

        Threads, questions to the record and commits cost by the batch: so when more than one came
        the last time, the next batch is given a moment to grow.
        """
        busy = False
        while True:
            batch = [await self._singles.get()]
            if busy and self._singles.qsize() < BATCH:
                await asyncio.sleep(GROWING_SECONDS)
            while len(batch) < BATCH and not self._singles.empty():
                batch.append(self._singles.get_nowait())
            busy = len(batch) > 1
            self._count_flood(len(batch))
            await self._observe(batch)
            for _ in batch:
                self._singles.task_done()

    async def follow_pages(self) -> Never:
        """Observe pages, so that the next one can be fetched meanwhile."""
        while True:
            await self._observe(await self._pages.get())
            self._pages.task_done()

    async def _observe(self, batch: Sequence[Event]) -> None:
        now = clock.now()
        events = [event for event in batch if self._is_for_us(event, now)]
        if not events:
            return
        known = await self._known({event.id for event in events})
        sifted = await asyncio.to_thread(sift, events, known)
        self._health.record_events(now, sifted.kinds, forged=sifted.forged)
        if not sifted.genuine and not sifted.held:
            return
        genuine = tuple(envelope(e) if e.kind == MESSAGE else e for e in sifted.genuine)
        await self._outbox.put(EventsSeen(self._health.url, now, genuine, sifted.held))
        # Only now: another relay's "held" must not reach the record before the event itself.
        self._recent.add([event.id for event in genuine])

    def _count_flood(self, count: int) -> None:
        minute = clock.now() // 60
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        before, self._in_minute = self._in_minute, self._in_minute + count
        if before < FLOOD <= self._in_minute:
            self._health.record_error("flood", clock.now())

    async def _known(self, ids: set[str]) -> set[str]:
        recent = {id_ for id_ in ids if id_ in self._recent}
        unsure = ids - recent
        return recent | await self._record.known_event_ids(unsure) if unsure else recent

    def _is_for_us(self, event: Event, now: int) -> bool:
        if event.created_at > now + TOLERATED_SECONDS:
            # Before it can win over a genuine replaceable; it comes again when it is due.
            self._health.record_error("from_the_future", now)
            return False
        return event.id in self.asked or is_wanted(event)


def _has_its_id(event: Event) -> bool:
    try:
        return event_id(event) == event.id
    except InvalidInput:
        return False

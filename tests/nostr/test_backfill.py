"""Reading a lane to its end, on shelves that behave like relays do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.event import Event
from raised.errors import Refused
from raised.nostr import backfill
from raised.nostr.backfill import read_lane
from raised.nostr.filters import Filter

LANE: Filter = {"kinds": [3030]}
TOP = 1_000


def events(times: Sequence[int]) -> list[Event]:
    return [Event(f"{n:064x}", "a" * 64, at, 3030, (), "", "") for n, at in enumerate(times)]


@dataclass
class FakeShelf:
    """A relay that caps its answers; `until` may be exclusive, NIP-77 unknown, the pager deaf."""

    stored: list[Event]
    cap: int = 500
    exclusive: bool = False
    compares: bool = True
    deaf: bool = False
    hides: int = 0  # this many events show only in its own list and by id
    largest: int = 0
    taken: list[Event] = field(default_factory=list)
    asked: int = 0

    async def page(self, asked: Filter) -> Sequence[Event]:
        return [] if self.deaf else await self.sure_page(asked)

    async def sure_page(self, asked: Filter) -> Sequence[Event]:
        self.asked += 1
        if "ids" in asked:
            return [event for event in self.stored if event.id in asked["ids"]]  # type: ignore[operator]
        limit, until = asked["limit"], asked["until"]
        assert isinstance(limit, int)
        assert isinstance(until, int)
        until -= self.exclusive
        matching = [event for event in self.stored[self.hides :] if event.created_at <= until]
        matching.sort(key=lambda event: (-event.created_at, event.id))
        return matching[: min(self.cap, limit)]

    async def unseen(self, asked: Filter, held: Sequence[Event]) -> Sequence[str] | None:
        if not self.compares:
            return None
        since, until = asked.get("since", 0), asked["until"]
        assert isinstance(since, int)
        assert isinstance(until, int)
        ours = {event.id for event in held}
        within = [event for event in self.stored if since <= event.created_at <= until]
        return [event.id for event in within if event.id not in ours]

    async def take(self, events: Sequence[Event]) -> None:
        self.taken += events

    @property
    def ids(self) -> list[str]:
        return sorted(event.id for event in self.taken)


@dataclass
class BusyShelf(FakeShelf):
    """While it answers, one event is published for thirty that it sends."""

    coming: list[Event] = field(default_factory=list)

    async def sure_page(self, asked: Filter) -> Sequence[Event]:
        page = list(await super().sure_page(asked))
        count = min(len(page) // 30, len(self.coming))
        new = [self.coming.pop() for _ in range(count)]
        self.stored += new
        until = asked["until"]
        assert isinstance(until, int)
        return [*page, *(event for event in new if event.created_at <= until)]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("cap", [1, 3, 100, 500, 10_000])
async def test_every_event_is_taken_once(cap: int, exclusive: bool) -> None:
    stored = events(range(0, 900, 2))
    shelf = FakeShelf(stored, cap=cap, exclusive=exclusive)
    assert await read_lane(shelf, LANE, TOP, compare=False)
    assert shelf.ids == sorted(event.id for event in stored)


async def test_a_lane_with_little_costs_little() -> None:
    shelf = FakeShelf([], largest=500)
    assert await read_lane(shelf, LANE, TOP, compare=True)
    assert shelf.asked == 2
    shelf = FakeShelf(events([3, 4, 5]), largest=500)
    assert await read_lane(shelf, LANE, TOP, compare=True)
    assert shelf.asked == 3


async def test_a_pager_that_is_refused_does_not_end_a_lane() -> None:
    shelf = FakeShelf(events(range(700)), deaf=True)
    assert await read_lane(shelf, LANE, TOP, compare=False)
    assert len(shelf.taken) == 700


async def test_a_second_fuller_than_a_page_is_read_by_the_relays_own_list() -> None:
    stored = events([100] * 5 + [50] * 1_200 + [10] * 700 + [5])
    shelf = FakeShelf(stored)
    assert await read_lane(shelf, LANE, TOP, compare=False)
    assert shelf.ids == sorted(event.id for event in stored)


async def test_without_such_a_list_a_full_second_is_not_complete() -> None:
    stored = events([100] * 5 + [50] * 1_200 + [10] * 7)
    shelf = FakeShelf(stored, compares=False)
    assert not await read_lane(shelf, LANE, TOP, compare=True)
    assert len(shelf.taken) == 512  # what is before the full second is read all the same


async def test_what_pages_did_not_show_is_found_by_comparing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "WINDOW", 50)
    stored = events([n % 97 for n in range(400)])
    shelf = FakeShelf(stored, hides=30)
    assert await read_lane(shelf, LANE, TOP, compare=True)
    assert shelf.ids == sorted(event.id for event in stored)


@pytest.mark.parametrize("dated", [0, 250, 500, 899])
@pytest.mark.parametrize("cap", [40, 500, 10_000])
async def test_events_published_meanwhile_and_dated_back_leave_no_hole(
    cap: int, dated: int
) -> None:
    """Relays push them into a page that is still being sent."""
    stored = events(range(900))
    shelf = BusyShelf([*stored], cap=cap, coming=events([dated] * 960)[900:])
    assert await read_lane(shelf, LANE, TOP, compare=False)
    assert {event.id for event in shelf.taken} >= {event.id for event in stored}


async def test_what_is_read_twice_costs_little() -> None:
    shelf = FakeShelf(events(range(9_500)))
    assert await read_lane(shelf, LANE, 10_000, compare=False)
    assert len(shelf.taken) == 9_500
    assert shelf.asked == 9_500 // 475 + 3


async def test_a_refusal_is_passed_on() -> None:
    class Closed(FakeShelf):
        async def sure_page(self, asked: Filter) -> Sequence[Event]:
            raise Refused("relay", "closed", "error")

    with pytest.raises(Refused):
        await read_lane(Closed([], deaf=True), LANE, TOP, compare=False)


@given(
    times=st.lists(st.integers(0, 30), max_size=60),
    cap=st.integers(1, 40),
    exclusive=st.booleans(),
    compares=st.booleans(),
)
async def test_with_the_relays_list_nothing_is_missing_without_it_full_seconds_alone_are(
    times: list[int], cap: int, exclusive: bool, compares: bool
) -> None:
    stored = events(times)
    shelf = FakeShelf(stored, cap=cap, exclusive=exclusive, compares=compares)
    complete = await read_lane(shelf, LANE, TOP, compare=True)
    got = {event.id for event in shelf.taken}
    full = {at for at in times if times.count(at) >= cap}
    assert got >= {event.id for event in stored if event.created_at not in full}
    if compares:
        assert complete
        assert len(got) == len(stored)
    assert len(got) == len(shelf.taken)

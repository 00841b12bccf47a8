"""Reading a filter to its end, on stored events that behave like those of relays."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.event import Event
from raised.errors import Refused
from raised.nostr import backfill
from raised.nostr.backfill import read_filter
from raised.nostr.filters import Filter

PROJECTS: Filter = {"kinds": [3030]}
TOP = 1_000


def events(times: Sequence[int]) -> list[Event]:
    return [Event(f"{n:064x}", "a" * 64, at, 3030, (), "", "") for n, at in enumerate(times)]


@dataclass
class FakeStoredEvents:
    """A relay that caps its answers. Options: exclusive `until`, no NIP-77, an empty fast way."""

    stored: list[Event]
    cap: int = 500
    exclusive: bool = False
    has_nip77: bool = True
    fast_way_is_empty: bool = False
    hidden: int = 0  # this many events show only in its own list and by id
    largest_page: int = 0
    ingested: list[Event] = field(default_factory=list)
    requests: int = 0

    async def page(self, conditions: Filter) -> Sequence[Event]:
        return [] if self.fast_way_is_empty else await self.page_with_eose(conditions)

    async def page_with_eose(self, conditions: Filter) -> Sequence[Event]:
        self.requests += 1
        if "ids" in conditions:
            return [event for event in self.stored if event.id in conditions["ids"]]  # type: ignore[operator]
        limit, until = conditions["limit"], conditions.get("until", 1 << 63)
        assert isinstance(limit, int)
        assert isinstance(until, int)
        until -= self.exclusive
        matching = [event for event in self.stored[self.hidden :] if event.created_at <= until]
        matching.sort(key=lambda event: (-event.created_at, event.id))
        return matching[: min(self.cap, limit)]

    async def missing_ids(
        self, conditions: Filter, events: Sequence[Event]
    ) -> Sequence[str] | None:
        if not self.has_nip77:
            return None
        since, until = conditions.get("since", 0), conditions["until"]
        assert isinstance(since, int)
        assert isinstance(until, int)
        known = {event.id for event in events}
        within = [event for event in self.stored if since <= event.created_at <= until]
        return [event.id for event in within if event.id not in known]

    async def ingest(self, events: Sequence[Event]) -> None:
        self.ingested += events

    @property
    def ids(self) -> list[str]:
        return sorted(event.id for event in self.ingested)


@dataclass
class BusyStoredEvents(FakeStoredEvents):
    """While it answers, an event is published for every thirty that it sends."""

    unpublished: list[Event] = field(default_factory=list)

    async def page_with_eose(self, conditions: Filter) -> Sequence[Event]:
        page = list(await super().page_with_eose(conditions))
        count = min(len(page) // 30, len(self.unpublished))
        new = [self.unpublished.pop() for _ in range(count)]
        self.stored += new
        until = conditions["until"]
        assert isinstance(until, int)
        return [*page, *(event for event in new if event.created_at <= until)]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("cap", [1, 3, 100, 500, 10_000])
async def test_every_event_is_ingested_once(cap: int, exclusive: bool) -> None:
    stored = events(range(0, 900, 2))
    relay = FakeStoredEvents(stored, cap=cap, exclusive=exclusive)
    assert await read_filter(relay, PROJECTS, TOP, compare=False)
    assert relay.ids == sorted(event.id for event in stored)


async def test_a_filter_with_few_events_costs_few_requests() -> None:
    relay = FakeStoredEvents([], largest_page=500)
    assert await read_filter(relay, PROJECTS, TOP, compare=True)
    assert relay.requests == 2
    relay = FakeStoredEvents(events([3, 4, 5]), largest_page=500)
    assert await read_filter(relay, PROJECTS, TOP, compare=True)
    assert relay.requests == 3


async def test_an_empty_page_of_the_fast_way_does_not_end_a_filter() -> None:
    relay = FakeStoredEvents(events(range(700)), fast_way_is_empty=True)
    assert await read_filter(relay, PROJECTS, TOP, compare=False)
    assert len(relay.ingested) == 700


async def test_a_second_with_more_events_than_a_page_is_read_by_nip_77() -> None:
    stored = events([100] * 5 + [50] * 1_200 + [10] * 700 + [5])
    relay = FakeStoredEvents(stored)
    assert await read_filter(relay, PROJECTS, TOP, compare=False)
    assert relay.ids == sorted(event.id for event in stored)


async def test_without_nip_77_a_full_second_is_not_complete() -> None:
    stored = events([100] * 5 + [50] * 1_200 + [10] * 7)
    relay = FakeStoredEvents(stored, has_nip77=False)
    assert not await read_filter(relay, PROJECTS, TOP, compare=True)
    assert len(relay.ingested) == 512  # what is before the full second is read all the same


@pytest.mark.parametrize("cap", [1, 2, 20, 44, 45, 100, 500])
@pytest.mark.parametrize("has_nip77", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
async def test_seconds_fuller_than_any_cap_are_read_or_the_filter_is_not_complete(
    cap: int, has_nip77: bool, exclusive: bool
) -> None:
    stored = events([70] * 45 + [60] * 45 + [50] + [10] * 45)
    relay = FakeStoredEvents(stored, cap=cap, has_nip77=has_nip77, exclusive=exclusive)
    is_complete = await read_filter(relay, PROJECTS, None, compare=False)
    if has_nip77 or cap > 50:
        assert is_complete
        assert relay.ids == sorted(event.id for event in stored)
    else:
        assert not is_complete
        assert len(relay.ingested) >= min(cap, 45) * 3 + 1


@pytest.mark.parametrize("cap", [2, 20, 44])
async def test_one_second_is_all_and_more_than_the_cap(cap: int) -> None:
    stored = events([50] * 45)
    relay = FakeStoredEvents(stored, cap=cap, has_nip77=False)
    assert not await read_filter(relay, PROJECTS, None, compare=False)
    relay = FakeStoredEvents(stored, cap=cap)
    assert await read_filter(relay, PROJECTS, None, compare=False)
    assert len(relay.ingested) == 45


async def test_a_relay_with_a_single_event_is_read_to_its_end() -> None:
    relay = FakeStoredEvents(events([50]), has_nip77=False)
    assert await read_filter(relay, PROJECTS, None, compare=False)
    assert len(relay.ingested) == 1


async def test_events_that_pages_did_not_show_are_read_by_nip_77(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "COMPARED_MAX", 50)
    stored = events([n % 97 for n in range(400)])
    relay = FakeStoredEvents(stored, hidden=30)
    assert await read_filter(relay, PROJECTS, TOP, compare=True)
    assert relay.ids == sorted(event.id for event in stored)


@pytest.mark.parametrize("dated", [0, 250, 500, 899])
@pytest.mark.parametrize("cap", [40, 500, 10_000])
async def test_back_dated_events_published_meanwhile_cause_no_gap(cap: int, dated: int) -> None:
    """Relays push them into a page that is still being sent."""
    stored = events(range(900))
    relay = BusyStoredEvents([*stored], cap=cap, unpublished=events([dated] * 960)[900:])
    assert await read_filter(relay, PROJECTS, TOP, compare=False)
    assert {event.id for event in relay.ingested} >= {event.id for event in stored}


async def test_overlaps_of_pages_cost_few_requests() -> None:
    relay = FakeStoredEvents(events(range(9_500)))
    assert await read_filter(relay, PROJECTS, 10_000, compare=False)
    assert len(relay.ingested) == 9_500
    assert relay.requests == 9_500 // 475 + 3


async def test_a_refusal_is_passed_on() -> None:
    class Closed(FakeStoredEvents):
        async def page_with_eose(self, conditions: Filter) -> Sequence[Event]:
            raise Refused("relay", "closed", "error")

    with pytest.raises(Refused):
        await read_filter(Closed([], fast_way_is_empty=True), PROJECTS, TOP, compare=False)


@given(
    times=st.lists(st.integers(0, 30), max_size=60),
    cap=st.integers(1, 40),
    exclusive=st.booleans(),
    has_nip77=st.booleans(),
)
async def test_with_nip_77_nothing_is_missing_and_without_it_full_seconds_only(
    times: list[int], cap: int, exclusive: bool, has_nip77: bool
) -> None:
    stored = events(times)
    relay = FakeStoredEvents(stored, cap=cap, exclusive=exclusive, has_nip77=has_nip77)
    complete = await read_filter(relay, PROJECTS, TOP, compare=True)
    ingested = {event.id for event in relay.ingested}
    full = {at for at in times if times.count(at) >= cap}
    assert ingested >= {event.id for event in stored if event.created_at not in full}
    if has_nip77:
        assert complete
        assert len(ingested) == len(stored)
    assert len(ingested) == len(relay.ingested)

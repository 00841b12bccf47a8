"""Live subscriptions on a line that answers as it is told."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.errors import Refused, Unavailable
from raised.nostr.filters import FILTERS_PER_REQ, KEYS_PER_FILTER, Filter
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Intake, Recent
from raised.nostr.relay_state import Interest, Standing
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming
from raised.nostr.subscriptions import Live

A_FULL_ONE = KEYS_PER_FILTER * FILTERS_PER_REQ // 2  # keys; each is asked for twice
KEYS = tuple(f"{n:064x}" for n in range(A_FULL_ONE + 5))
SILENT = Unavailable("relay", "no end of stored events", "silent")


class FakeLine:
    """`open`: what stands, by name. `fails`: what the next subscriptions raise; None is success."""

    def __init__(self) -> None:
        self.closed: dict[str, str] = {}
        self.open: dict[str, set[str]] = {}
        self.fails: list[Exception | None] = []
        self.unheard: list[set[str]] = []  # keys in no subscription, after each change

    def check(self) -> None:
        """It is connected."""

    async def subscribe(self, name: str, filters: Sequence[Filter]) -> None:
        assert all(lane["limit"] == 1 for lane in filters)
        assert name not in self.open
        if self.fails and (failure := self.fails.pop(0)):
            raise failure
        self.open[name] = {key for lane in filters for key in lane.get("authors", ())}  # type: ignore[attr-defined]
        self._note()

    async def unsubscribe(self, name: str) -> None:
        self.open.pop(name, None)
        self._note()

    def close(self, name: str) -> None:
        del self.open[name]
        self.closed[name] = "error"

    def _note(self) -> None:
        heard = set[str]().union(*self.open.values())
        self.unheard.append(set(KEYS) - heard)


@pytest.fixture
def line() -> FakeLine:
    return FakeLine()


@pytest.fixture
def standing(record: Any) -> Standing:
    health = RelayHealth("wss://relay", 600)
    intake = Intake(health, record, Recent(), asyncio.Queue())
    timing = RelayTiming(resubscribe=0.001, resubscribe_max=0.002)
    endpoint = RelayEndpoint(RelaySettings("wss://relay"), None, timing)
    return Standing(endpoint, record, health, intake, asyncio.Queue(), interest=Interest(KEYS))


@pytest.fixture
def live(line: FakeLine, standing: Standing) -> Live:
    return Live(line, standing)  # type: ignore[arg-type]


async def kept(live: Live, claim: Callable[[], object]) -> None:
    """Keep it until it is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            await live.keep()
            if claim():
                return
            await asyncio.sleep(0.001)


async def test_every_key_is_heard_and_nothing_was_missed(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    await live.keep()
    assert len(line.open) == 3
    assert line.unheard[-1] == set()
    assert not standing.gap


async def test_a_new_key_changes_one_subscription_and_nothing_falls_between(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    standing.interest = Interest(KEYS[:-1])
    await live.keep()
    before, line.unheard = set(line.open), []
    standing.interest = Interest(KEYS)
    await live.keep()
    assert line.unheard == [set(), set()]  # the new one stands, the old one has ended
    assert len(line.open.keys() - before) == 1
    assert not standing.gap


async def test_what_is_published_while_a_key_changes_its_subscription_is_read_back(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    await live.keep()
    line.unheard = []
    standing.interest = Interest((KEYS[-1], *KEYS[:-1]))  # founded now, so it comes first
    await live.keep()
    assert any(line.unheard)  # a relay grants only so many: the old ones cannot all wait
    assert line.unheard[-1] == set()
    assert standing.gap


async def test_what_is_published_while_a_subscription_is_refused_is_read_back(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    line.fails = [None, Refused("relay", "closed", "rate-limited")]
    await live.keep()
    assert len(line.open) == 2
    before = standing.gap
    assert standing.health.errors["closed"] == 1
    await kept(live, lambda: len(line.open) == 3)
    assert (before, standing.gap) == (False, True)
    assert line.unheard[-1] == set()


async def test_what_is_published_while_a_subscription_has_no_answer_is_read_back(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    line.fails = [None, None, SILENT]
    await live.keep()
    assert standing.health.errors["silent"] == 1
    await kept(live, lambda: len(line.open) == 3)
    assert standing.gap


async def test_a_relay_that_has_never_answered_is_given_up(live: Live, line: FakeLine) -> None:
    line.fails = [SILENT]
    with pytest.raises(Unavailable):
        await live.keep()


async def test_what_is_published_after_the_relay_closed_a_subscription_is_read_back(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    await live.keep()
    line.close(max(line.open))
    await kept(live, lambda: len(line.open) == 3)
    assert standing.gap
    assert standing.health.errors["closed"] == 1


async def test_fewer_keys_end_the_subscriptions_that_are_left_over(
    live: Live, line: FakeLine, standing: Standing
) -> None:
    await live.keep()
    standing.interest = Interest(KEYS[:3])
    await live.keep()
    assert sorted(map(len, line.open.values())) == [1, 3]  # the hub is always heard

"""Live subscriptions on a connection with prepared answers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.domain.observation import Observation
from raised.errors import Refused, Unavailable
from raised.nostr.filters import FILTERS_PER_REQ, PUBKEYS_PER_FILTER, Filter
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Ingest, SeenCache
from raised.nostr.relay_state import RelayContext, RelayState, Wanted
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming
from raised.nostr.subscriptions import LiveSubscriptions

PUBKEYS_PER_REQ = PUBKEYS_PER_FILTER * FILTERS_PER_REQ // 2  # each is in two filters
PUBKEYS = tuple(f"{n:064x}" for n in range(PUBKEYS_PER_REQ + 5))
SILENT = Unavailable("relay", "no end of stored events", "silent")


class FakeConnection:
    """`open`: the keys of each open subscription. `failures`: what the next ones raise, or None."""

    def __init__(self) -> None:
        self.closed: dict[str, str] = {}
        self.open: dict[str, set[str]] = {}
        self.failures: list[Exception | None] = []
        self.unsubscribed: list[set[str]] = []  # keys in no subscription, after each change

    def check(self) -> None:
        """It is connected."""

    async def subscribe(self, subscription_id: str, filters: Sequence[Filter]) -> None:
        assert all(conditions["limit"] == 1 for conditions in filters)
        assert subscription_id not in self.open
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        self.open[subscription_id] = {
            key
            for conditions in filters
            for key in conditions.get("authors", ())  # type: ignore[attr-defined]
        }
        self._note()

    async def unsubscribe(self, subscription_id: str) -> None:
        self.open.pop(subscription_id, None)
        self._note()

    def close(self, subscription_id: str) -> None:
        del self.open[subscription_id]
        self.closed[subscription_id] = "error"

    def _note(self) -> None:
        subscribed = set[str]().union(*self.open.values())
        self.unsubscribed.append(set(PUBKEYS) - subscribed)


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


@pytest.fixture
def context(record: Any) -> RelayContext:
    health = RelayHealth("wss://relay", 600)
    outbox: asyncio.Queue[Observation] = asyncio.Queue()
    timing = RelayTiming(resubscribe_first=0.001, resubscribe_max=0.002)
    endpoint = RelayEndpoint(RelaySettings("wss://relay"), None, timing)
    return RelayContext(
        endpoint, record, health, Ingest(health, record, SeenCache(), outbox), outbox
    )


@pytest.fixture
def state() -> RelayState:
    return RelayState(wanted=Wanted(PUBKEYS))


@pytest.fixture
def live(connection: FakeConnection, context: RelayContext, state: RelayState) -> LiveSubscriptions:
    return LiveSubscriptions(connection, context, state)  # type: ignore[arg-type]


async def maintain_until(live: LiveSubscriptions, condition: Callable[[], object]) -> None:
    """Maintain them until the condition is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            await live.maintain()
            if condition():
                return
            await asyncio.sleep(0.001)


async def test_every_key_is_subscribed_and_there_is_no_gap(
    live: LiveSubscriptions, connection: FakeConnection, state: RelayState
) -> None:
    await live.maintain()
    assert len(connection.open) == 3
    assert connection.unsubscribed[-1] == set()
    assert not state.backfill.has_gap


async def test_a_new_key_changes_a_single_subscription_without_a_gap(
    live: LiveSubscriptions, connection: FakeConnection, state: RelayState
) -> None:
    state.wanted = Wanted(PUBKEYS[:-1])
    await live.maintain()
    before, connection.unsubscribed = set(connection.open), []
    state.wanted = Wanted(PUBKEYS)
    await live.maintain()
    # First both subscriptions are open, then the new one.
    assert connection.unsubscribed == [set(), set()]
    assert len(connection.open.keys() - before) == 1
    assert not state.backfill.has_gap


async def test_a_key_that_changes_its_subscription_causes_a_gap(
    live: LiveSubscriptions, connection: FakeConnection, state: RelayState
) -> None:
    await live.maintain()
    connection.unsubscribed = []
    state.wanted = Wanted((PUBKEYS[-1], *PUBKEYS[:-1]))  # founded now, so it comes first
    await live.maintain()
    assert any(connection.unsubscribed)  # a relay grants only so many: not all old ones can wait
    assert connection.unsubscribed[-1] == set()
    assert state.backfill.has_gap


async def test_a_refused_subscription_causes_a_gap(
    live: LiveSubscriptions, connection: FakeConnection, context: RelayContext, state: RelayState
) -> None:
    connection.failures = [None, Refused("relay", "closed", "rate-limited")]
    await live.maintain()
    assert len(connection.open) == 2
    before = state.backfill.has_gap
    assert context.health.errors["closed"] == 1
    await maintain_until(live, lambda: len(connection.open) == 3)
    assert (before, state.backfill.has_gap) == (False, True)
    assert connection.unsubscribed[-1] == set()


async def test_a_subscription_without_eose_causes_a_gap(
    live: LiveSubscriptions, connection: FakeConnection, context: RelayContext, state: RelayState
) -> None:
    connection.failures = [None, None, SILENT]
    await live.maintain()
    assert context.health.errors["silent"] == 1
    await maintain_until(live, lambda: len(connection.open) == 3)
    assert state.backfill.has_gap


async def test_a_relay_that_has_never_answered_is_disconnected(
    live: LiveSubscriptions, connection: FakeConnection
) -> None:
    connection.failures = [SILENT]
    with pytest.raises(Unavailable):
        await live.maintain()


async def test_a_closed_subscription_causes_a_gap(
    live: LiveSubscriptions, connection: FakeConnection, context: RelayContext, state: RelayState
) -> None:
    await live.maintain()
    connection.close(max(connection.open))
    await maintain_until(live, lambda: len(connection.open) == 3)
    assert state.backfill.has_gap
    assert context.health.errors["closed"] == 1


async def test_fewer_keys_end_the_spare_subscriptions(
    live: LiveSubscriptions, connection: FakeConnection, state: RelayState
) -> None:
    await live.maintain()
    state.wanted = Wanted(PUBKEYS[:3])
    await live.maintain()
    assert sorted(map(len, connection.open.values())) == [1, 3]  # one is for the public filters

"""The relay source with a record in memory, on relays of the simnet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.hostile_relay import HostileRelay

from raised.domain.event import Event
from raised.domain.observation import (
    BackfillDone,
    EventsSeen,
    Observation,
    Progress,
    SourceHealth,
    WantedAsked,
)
from raised.nostr.ports import RelayCursor
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming
from raised.nostr.source import RelaySource
from raised_simnet.relays.relays import Relay

SHORT_TIMING = RelayTiming(
    connect_timeout=3,
    eose_timeout=1,
    page_timeout=5,
    negentropy_timeout=1,
    reconnect_first=0.05,
    reconnect_max=0.3,
    resubscribe_first=0.05,
    resubscribe_max=0.3,
    poll_interval=0.02,
    byte_check_after=0.1,
    probe_after=5,
    report_interval=0.1,
    wake_interval=0.02,
)


class MemoryRecord:
    """Applies observations as the real record does; checks only their order."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.ids_by_relay: dict[str, set[str]] = {}
        self.cursors: dict[str, RelayCursor] = {}
        self.done: list[BackfillDone] = []
        self.health: dict[str, SourceHealth] = {}
        self.progress: list[Progress] = []
        self.asked: list[tuple[str, int]] = []
        self.missing: set[str] = set()
        self.keys: list[str] = []
        self.project_events: list[Event] = []
        self.repeats = 0

    async def known_event_ids(self, ids: Collection[str]) -> set[str]:
        return {id_ for id_ in ids if id_ in self.events}

    async def relay_cursor(self, relay: str) -> RelayCursor | None:
        return self.cursors.get(relay)

    async def missing_events(self) -> tuple[str, ...]:
        return tuple(self.missing - self.events.keys())

    async def are_sources_read(self) -> bool:
        return True

    async def project_pubkeys(self) -> tuple[str, ...]:
        return tuple(self.keys)

    async def events_not_on_relay(self, relay: str, limit: int) -> tuple[Event, ...]:
        return tuple(
            event
            for event in self.project_events
            if event.id not in self.ids_by_relay.get(relay, set())
        )[:limit]

    def apply(self, observation: Observation) -> None:
        match observation:
            case EventsSeen(relay=relay, events=events, held=known_ids):
                for event in events:
                    self.repeats += event.id in self.events
                    self.events[event.id] = event
                assert all(id_ in self.events for id_ in known_ids), (
                    "a relay has an event that the record lacks"
                )
                self.ids_by_relay.setdefault(relay, set()).update(
                    known_ids, (event.id for event in events)
                )
            case BackfillDone(relay=relay, began_at=began, full=full):
                old = self.cursors.get(relay)
                full_at = began if full else old.full_at if old else None
                self.cursors[relay] = RelayCursor(began, full_at)
                self.done.append(observation)
            case SourceHealth(name=name):
                self.health[name] = observation
            case Progress():
                self.progress.append(observation)
            case WantedAsked():
                self.asked.append((observation.relay, observation.events))
            case _:
                raise AssertionError(observation)


class Following:
    """The running source and its record."""

    def __init__(self, record: MemoryRecord, source: RelaySource) -> None:
        self.record = record
        self.source = source
        self.outbox: asyncio.Queue[Observation] = asyncio.Queue(64)

    async def until(
        self, condition: Callable[[], object], seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Wait until the condition is true."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition, not an event
                await asyncio.sleep(0.01)

    def state(self, relay: Relay | HostileRelay | str) -> tuple[str, str | None]:
        """A relay's state, and the code of its last error."""
        url = relay if isinstance(relay, str) else relay.url
        health = self.record.health.get(url)
        if health is None:
            return ("unknown", None)
        return (health.state, health.last_error[0] if health.last_error else None)

    async def apply_observations(self) -> None:
        while True:
            self.record.apply(await self.outbox.get())
            self.outbox.task_done()


Follow = Callable[..., AbstractAsyncContextManager[Following]]


@pytest.fixture
def record() -> MemoryRecord:
    return MemoryRecord()


@pytest.fixture
def follow(record: MemoryRecord) -> Follow:
    """`async with follow(relay, …)`: the source follows these relays until the block ends."""

    @asynccontextmanager
    async def followed(
        *relays: Relay | HostileRelay | str | RelaySettings,
        proxy: ProxySettings | None = None,
        **timing: float,
    ) -> AsyncIterator[Following]:
        source = RelaySource(
            [_settings(relay) for relay in relays],
            record,
            proxy=proxy,
            timing=replace(SHORT_TIMING, **timing),  # type: ignore[arg-type]
        )
        following = Following(record, source)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(following.apply_observations())
            reader = tasks.create_task(source.follow(following.outbox))
            try:
                yield following
            finally:
                reader.cancel()
                await asyncio.wait([reader])
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await following.outbox.join()
                writer.cancel()

    return followed


@pytest.fixture
def start_relay() -> Iterator[Callable[[], Relay]]:
    """Starts real relays, each in a process of its own."""
    relays: list[Relay] = []

    def make() -> Relay:
        relay = Relay()
        relay.start()
        relays.append(relay)
        return relay

    yield make
    for relay in relays:
        relay.stop()


@pytest.fixture
def hostile() -> Iterator[HostileRelay]:
    relay = HostileRelay()
    relay.start()
    yield relay
    relay.stop()


def _settings(relay: Relay | HostileRelay | str | RelaySettings) -> RelaySettings:
    if isinstance(relay, RelaySettings):
        return relay
    return RelaySettings(relay if isinstance(relay, str) else relay.url)

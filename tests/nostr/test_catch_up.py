"""The stored events of a relay: when the page reader is used, and when the connection."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from raised.domain.event import Event
from raised.domain.observation import Observation
from raised.errors import Refused, Unavailable
from raised.nostr.backfill import PAGE_SIZE, SHORT_PAGE
from raised.nostr.catch_up import RATE_LIMIT_ATTEMPTS, RelayStoredEvents
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Ingest, SeenCache
from raised.nostr.page_reader import Page
from raised.nostr.relay_state import RelayContext, RelayState
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming

EVENT = Event("0" * 64, "a" * 64, 5, 3030, (), "", "0" * 128)
PROJECTS: Filter = {"kinds": [3030], "limit": PAGE_SIZE}


class FakeConnection:
    """A connection or a page reader that gives these answers in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Filter] = []

    async def page(self, conditions: Filter) -> Any:
        self.requests.append(conditions)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def missing_ids(self, conditions: Filter, events: Sequence[Event]) -> Any:
        return self.answers.pop(0)


class Setup:
    """What stored events of a relay need, apart from its connections."""

    def __init__(self, record: Any) -> None:
        self.health = RelayHealth("wss://relay", 600)
        self.state = RelayState()
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        self.ingest = Ingest(self.health, record, SeenCache(), outbox)
        timing = RelayTiming(resubscribe_first=0.001, resubscribe_max=0.002)
        endpoint = RelayEndpoint(RelaySettings("wss://relay"), None, timing)
        self.context = RelayContext(endpoint, record, self.health, self.ingest, outbox)

    def stored_events(
        self, connection: FakeConnection, reader: FakeConnection | None = None
    ) -> RelayStoredEvents:
        """Through this connection and this page reader."""

        async def keep_live() -> None:
            """There are no live subscriptions."""

        return RelayStoredEvents(
            connection,  # type: ignore[arg-type]
            reader,  # type: ignore[arg-type]
            self.context,
            self.state,
            keep_live,
        )


@pytest.fixture
def setup(record: Any) -> Setup:
    return Setup(record)


async def test_a_rate_limited_page_is_requested_again(setup: Setup) -> None:
    limited = Refused("relay", "closed", "rate-limited")
    connection = FakeConnection(limited, limited, [EVENT])
    assert await setup.stored_events(connection).page_with_eose(PROJECTS) == [EVENT]
    connection = FakeConnection(*[limited] * RATE_LIMIT_ATTEMPTS)
    with pytest.raises(Refused):
        await setup.stored_events(connection).page_with_eose(PROJECTS)


async def test_another_refusal_is_raised(setup: Setup) -> None:
    connection = FakeConnection(Refused("relay", "closed", "restricted"))
    with pytest.raises(Refused):
        await setup.stored_events(connection).page_with_eose(PROJECTS)


async def test_a_page_reader_that_breaks_is_used_no_more_and_its_events_are_ingested(
    setup: Setup,
) -> None:
    reader = FakeConnection(Page([EVENT], is_whole=False))
    connection = FakeConnection([EVENT], [EVENT])
    stored = setup.stored_events(connection, reader)
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_pages())
        assert await stored.page(PROJECTS) == [EVENT]
        assert await stored.page(PROJECTS) == [EVENT]
        await setup.ingest.drain_pages()
        worker.cancel()
    assert len(connection.requests) == 2
    assert setup.health.forged == 1  # it was verified like all events


async def test_a_page_reader_that_fails_is_used_no_more(setup: Setup) -> None:
    reader = FakeConnection(Unavailable("relay", "too large", "incomplete"))
    assert await setup.stored_events(FakeConnection([EVENT]), reader).page(PROJECTS) == [EVENT]
    assert setup.health.errors["incomplete"] == 1


async def test_pages_far_beyond_the_limit_are_read_and_reported_as_a_flood(setup: Setup) -> None:
    reader = FakeConnection(
        Page([EVENT] * (PAGE_SIZE + 1), is_whole=True), Page([EVENT] * 3 * PAGE_SIZE, is_whole=True)
    )
    connection = FakeConnection([EVENT] * 2 * PAGE_SIZE)
    stored = setup.stored_events(connection, reader)
    assert len(await stored.page(PROJECTS)) == PAGE_SIZE + 1
    assert setup.health.errors["flood"] == 0  # an event may have been published meanwhile
    assert len(await stored.page(PROJECTS)) == 3 * PAGE_SIZE
    assert setup.health.errors["flood"] == 1
    assert len(await stored.page_with_eose(PROJECTS)) == 2 * PAGE_SIZE
    assert setup.health.errors["flood"] == 2


async def test_a_page_with_unknown_bytes_is_requested_again_on_the_live_connection(
    setup: Setup,
) -> None:
    """They may be garbage or an event after the EOSE: the page reader cannot tell."""
    full_page = [EVENT] * SHORT_PAGE
    reader = FakeConnection(
        Page(full_page, is_whole=True, is_accounted=False),
        Page(full_page, is_whole=True),
        Page([EVENT], is_whole=True, is_accounted=False),
    )
    connection = FakeConnection([])
    stored = setup.stored_events(connection, reader)
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_pages())
        assert await stored.page(PROJECTS) == []
        await setup.ingest.drain_pages()
        worker.cancel()
    assert connection.requests == [PROJECTS]
    assert setup.health.forged == SHORT_PAGE  # its events were verified like all events
    assert not setup.health.errors.keys() - {"forged"}
    assert await stored.page(PROJECTS) == full_page  # the page reader is kept
    assert await stored.page(PROJECTS) == [EVENT]  # a short page is read again anyway
    assert connection.requests == [PROJECTS]


async def test_nip_77_is_tried_once(setup: Setup) -> None:
    stored = setup.stored_events(FakeConnection(), FakeConnection(None))
    assert await stored.missing_ids(PROJECTS, []) is None
    assert await stored.missing_ids(PROJECTS, []) is None
    assert not setup.state.supports_nip77

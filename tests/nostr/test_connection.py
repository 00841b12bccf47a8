"""A connection to a relay, from connect to close."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from raised.domain.event import Event
from raised.errors import Refused, Unavailable
from raised.nostr.connection import RelayConnection
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth
from raised.nostr.sdk_client import RelayEndpoint, use_running_loop
from raised.nostr.settings import RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import compact, sign_event

BYTE_CHECK_AFTER = 0.05
PROJECTS: Filter = {"kinds": [3030], "limit": 1}
STORED, *LIVE = (
    sign_event(bytes(31) + b"\x05", kind=3030, content=f"{{{n}", created_at=1_700_000_000 - n)
    for n in range(6)
)
PROFILE = sign_event(bytes(31) + b"\x05", kind=0, content="{}", created_at=5)

Answer = Callable[[str, str], Iterator[object]]  # a verb and a subscription → messages


class Setup:
    """A connection to a relay, its health, and the events that came outside pages."""

    def __init__(
        self, connection: RelayConnection, health: RelayHealth, received: list[Event]
    ) -> None:
        self.connection = connection
        self.health = health
        self.received = received

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.received]

    async def until(self, condition: Callable[[], object]) -> None:
        """Check the connection, as its owner does, until the condition is true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                self.connection.check()
                await asyncio.sleep(0.01)

    async def wait_for_byte_check(self, after: float = BYTE_CHECK_AFTER) -> None:
        """Return when every byte has been accounted for."""
        self.connection.check()
        await self.until(lambda: self.connection.quiet_seconds() > after + 2 * BYTE_CHECK_AFTER)
        self.connection.check()


async def connect_and_close(url: str) -> "weakref.ref[RelayConnection]":
    """Open a connection, read a page, close it."""

    async def put(event: Event) -> None:
        raise AssertionError(event)

    connection = RelayConnection(
        RelayEndpoint(RelaySettings(url), None, RelayTiming()),
        RelayHealth(url, 1),
        put,
        asyncio.Event(),
    )
    async with asyncio.TaskGroup() as tasks:
        try:
            await connection.connect(tasks)
            assert await connection.page({"kinds": [1], "limit": 1}) == []
        finally:
            await connection.close()
    return weakref.ref(connection)


async def test_a_closed_connection_is_freed(hostile: Any) -> None:
    """Client, policy and connection refer to each other through Rust, unseen by the collector."""
    use_running_loop()
    connections = [await connect_and_close(hostile.url) for _ in range(3)]
    gc.collect()
    assert [connection() for connection in connections] == [None] * 3


async def test_the_reason_of_a_failed_connection_is_its_code(hostile: Any) -> None:
    use_running_loop()
    hostile.disconnect()
    with pytest.raises(ExceptionGroup) as caught:
        await connect_and_close(hostile.url)
    assert [error.code for error in caught.value.exceptions] == ["refused"]  # type: ignore[union-attr]
    assert caught.group_contains(Unavailable)
    with pytest.raises(ExceptionGroup) as caught:
        await connect_and_close("ws://nobody.invalid")
    assert [error.code for error in caught.value.exceptions] == ["unknown_host"]  # type: ignore[union-attr]
    hostile.listen()


@asynccontextmanager
async def connected(
    answer: Answer, byte_check_after: float = BYTE_CHECK_AFTER
) -> AsyncIterator[Setup]:
    """A connection to a relay that gives these answers."""

    async def serve_client(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                verb, name, *_ = json.loads(text)
                for message in answer(verb, name):
                    await socket.send(message if isinstance(message, str) else compact(message))

    use_running_loop()
    received: list[Event] = []

    async def receive(event: Event) -> None:
        received.append(event)

    async with serve(serve_client, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        health = RelayHealth(url, 600)
        timing = RelayTiming(
            connect_timeout=3,
            eose_timeout=1,
            poll_interval=0.02,
            byte_check_after=byte_check_after,
            drain_timeout=1,
        )
        connection = RelayConnection(
            RelayEndpoint(RelaySettings(url), None, timing), health, receive, asyncio.Event()
        )
        async with asyncio.TaskGroup() as tasks:
            try:
                await connection.connect(tasks)
                yield Setup(connection, health, received)
            finally:
                await connection.close()


def events(name: str, sent: Sequence[Any]) -> Iterator[object]:
    for event in sent:
        yield ["EVENT", name, event]


def ids(sent: Sequence[Any]) -> list[str]:
    return [event["id"] for event in sent]


async def test_events_before_the_eose_are_received_whatever_the_limit() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [STORED, *LIVE])
            yield ["EOSE", name]

    async with connected(answer) as setup:
        await setup.connection.subscribe("live-0", [PROJECTS])
        await setup.wait_for_byte_check()
        assert setup.ids == ids([STORED, *LIVE])
        assert not setup.health.errors


async def test_events_on_their_way_when_a_subscription_ends_are_received_and_are_no_error() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EOSE", name]
        elif name == "live-0":
            yield from events(name, LIVE)
            yield ["EVENT", "live-1", STORED]

    async with connected(answer) as setup:
        await setup.connection.subscribe("live-0", [PROJECTS])
        await setup.connection.subscribe("live-1", [PROJECTS])
        await setup.connection.unsubscribe("live-0")
        await setup.until(lambda: len(setup.received) == 6)
        await setup.wait_for_byte_check()
        assert setup.ids == ids([*LIVE, STORED])
        assert not setup.health.errors


async def test_a_bad_signature_after_the_end_of_a_subscription_is_unusable() -> None:
    spoilt = {**STORED, "sig": "0" * 128}

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EOSE", name]
        elif name == "live-0":
            yield ["EVENT", name, spoilt]

    async with connected(answer) as setup:
        await setup.connection.subscribe("live-0", [PROJECTS])
        await setup.connection.unsubscribe("live-0")
        await setup.until(lambda: setup.health.errors)
        assert setup.health.errors["unusable"] == 1
        assert setup.health.errors["unusable_bytes"] > 300
        assert setup.received == []


async def test_events_after_the_eose_of_a_page_are_received_and_are_no_error() -> None:
    """The library ends the subscription at the EOSE; the relay hears of that later."""

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [STORED])
            yield ["EOSE", name]
            yield from events(name, LIVE)

    async with connected(answer) as setup:
        page = await setup.connection.page(PROJECTS)
        assert page[0].id == STORED["id"]
        await setup.until(lambda: len(page) + len(setup.received) == 6)
        await setup.wait_for_byte_check()
        assert [event.id for event in page] + setup.ids == ids([STORED, *LIVE])
        assert not setup.health.errors


async def test_events_that_were_not_requested_are_dropped_and_unusable() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EVENT", "another", STORED]
            yield from events(name, [PROFILE, *LIVE])
            yield ["EOSE", name]

    async with connected(answer) as setup:
        await setup.connection.subscribe("live-0", [PROJECTS])
        await setup.until(lambda: setup.health.errors)
        assert setup.ids == ids(LIVE)
        size = len(compact(PROFILE)) + len(compact(STORED))
        assert setup.health.errors == {"unusable": 1, "unusable_bytes": size}


async def test_the_events_of_a_closed_page_are_received() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, LIVE)
            yield ["CLOSED", name, "error: enough"]

    async with connected(answer) as setup:
        with pytest.raises(Refused) as caught:
            await setup.connection.page({"kinds": [3030]})
        assert caught.value.code == "error"
        assert setup.ids == ids(LIVE)
        await setup.wait_for_byte_check()
        assert not setup.health.errors


async def test_an_event_with_many_tags_is_received() -> None:
    """The deny list of the hub names every project that it denies in a tag."""
    tags = [("p", f"{n:064x}") for n in range(12_000)]
    many = sign_event(bytes(31) + b"\x05", kind=30000, content="", created_at=5, tags=tags)

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [many])
            yield ["EOSE", name]

    # The library checks 900 kB before it hands the event on, and no byte comes meanwhile.
    async with connected(answer, byte_check_after=4.0) as setup:
        await setup.connection.subscribe("live-0", [{"kinds": [30000]}])
        await setup.until(lambda: setup.ids)
        await setup.wait_for_byte_check(after=4.0)
        assert setup.ids == [many["id"]]
        assert not setup.health.errors

"""The life of one connection."""

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
from raised.nostr.connection import Line
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth
from raised.nostr.sdk_client import RelayEndpoint, use_running_loop
from raised.nostr.settings import RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import compact, sign_event

SETTLE = 0.05
PROJECTS: Filter = {"kinds": [3030], "limit": 1}
STORED, *LIVE = (
    sign_event(bytes(31) + b"\x05", kind=3030, content=f"{{{n}", created_at=1_700_000_000 - n)
    for n in range(6)
)
PROFILE = sign_event(bytes(31) + b"\x05", kind=0, content="{}", created_at=5)

Answer = Callable[[str, str], Iterator[object]]  # a verb and a subscription → messages


class Heard:
    """A line to a relay, and what came of it."""

    def __init__(self, line: Line, health: RelayHealth, put: list[Event]) -> None:
        self.line = line
        self.health = health
        self.put = put

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.put]

    async def until(self, claim: Callable[[], object]) -> None:
        """Look at the line, as its owner does, until it is true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not claim():
                self.line.check()
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Return when every byte has been accounted for."""
        self.line.check()
        await self.until(lambda: self.line.quiet_seconds() > 3 * SETTLE)
        self.line.check()


async def a_connection(url: str) -> "weakref.ref[Line]":
    """Open it, ask something, close it."""

    async def put(event: Event) -> None:
        raise AssertionError(event)

    line = Line(
        RelayEndpoint(RelaySettings(url), None, RelayTiming()),
        RelayHealth(url, 1),
        put,
        asyncio.Event(),
    )
    async with asyncio.TaskGroup() as tasks:
        try:
            await line.connect(tasks)
            assert await line.page({"kinds": [1], "limit": 1}) == []
        finally:
            await line.close()
    return weakref.ref(line)


async def test_a_closed_connection_leaves_nothing_behind(hostile: Any) -> None:
    """Client, policy and line know each other, in part through Rust: a cycle no collector sees."""
    use_running_loop()
    lines = [await a_connection(hostile.url) for _ in range(3)]
    gc.collect()
    assert [line() for line in lines] == [None] * 3


async def test_why_there_is_no_connection(hostile: Any) -> None:
    use_running_loop()
    hostile.disconnect()
    with pytest.raises(ExceptionGroup) as caught:
        await a_connection(hostile.url)
    assert [error.code for error in caught.value.exceptions] == ["refused"]  # type: ignore[union-attr]
    assert caught.group_contains(Unavailable)
    with pytest.raises(ExceptionGroup) as caught:
        await a_connection("ws://nobody.invalid")
    assert [error.code for error in caught.value.exceptions] == ["unknown_host"]  # type: ignore[union-attr]
    hostile.listen()


@asynccontextmanager
async def a_line(answer: Answer) -> AsyncIterator[Heard]:
    """A line to a relay that answers so."""

    async def converse(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                verb, name, *_ = json.loads(text)
                for message in answer(verb, name):
                    await socket.send(message if isinstance(message, str) else compact(message))

    use_running_loop()
    put: list[Event] = []

    async def take(event: Event) -> None:
        put.append(event)

    async with serve(converse, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        health = RelayHealth(url, 600)
        timing = RelayTiming(connect=3, answer=1, poll=0.02, settle=SETTLE, drain=1)
        line = Line(RelayEndpoint(RelaySettings(url), None, timing), health, take, asyncio.Event())
        async with asyncio.TaskGroup() as tasks:
            try:
                await line.connect(tasks)
                yield Heard(line, health, put)
            finally:
                await line.close()


def events(name: str, sent: Sequence[Any]) -> Iterator[object]:
    for event in sent:
        yield ["EVENT", name, event]


def ids(sent: Sequence[Any]) -> list[str]:
    return [event["id"] for event in sent]


async def test_live_events_before_the_end_of_stored_ones_are_heard_whatever_the_limit() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [STORED, *LIVE])
            yield ["EOSE", name]

    async with a_line(answer) as heard:
        await heard.line.subscribe("live-0", [PROJECTS])
        await heard.settled()
        assert heard.ids == ids([STORED, *LIVE])
        assert not heard.health.errors


async def test_what_was_on_its_way_when_a_subscription_ended_is_heard_and_accuses_nobody() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EOSE", name]
        elif name == "live-0":
            yield from events(name, LIVE)
            yield ["EVENT", "live-1", STORED]

    async with a_line(answer) as heard:
        await heard.line.subscribe("live-0", [PROJECTS])
        await heard.line.subscribe("live-1", [PROJECTS])
        await heard.line.unsubscribe("live-0")
        await heard.until(lambda: len(heard.put) == 6)
        await heard.settled()
        assert heard.ids == ids([*LIVE, STORED])
        assert not heard.health.errors


async def test_garbage_after_the_end_of_a_subscription_is_garbage() -> None:
    spoilt = {**STORED, "sig": "0" * 128}

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EOSE", name]
        elif name == "live-0":
            yield ["EVENT", name, spoilt]

    async with a_line(answer) as heard:
        await heard.line.subscribe("live-0", [PROJECTS])
        await heard.line.unsubscribe("live-0")
        await heard.until(lambda: heard.health.errors)
        assert heard.health.errors["unusable"] == 1
        assert heard.health.errors["unusable_bytes"] > 300
        assert heard.put == []


async def test_events_after_the_end_of_a_page_are_heard_and_accuse_nobody() -> None:
    """The library ends the subscription at the EOSE; the relay hears of that later."""

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [STORED])
            yield ["EOSE", name]
            yield from events(name, LIVE)

    async with a_line(answer) as heard:
        page = await heard.line.page(PROJECTS)
        assert page[0].id == STORED["id"]
        await heard.until(lambda: len(page) + len(heard.put) == 6)
        await heard.settled()
        assert [event.id for event in page] + heard.ids == ids([STORED, *LIVE])
        assert not heard.health.errors


async def test_what_was_not_asked_for_is_not_heard_and_held_against_the_relay() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield ["EVENT", "another", STORED]
            yield from events(name, [PROFILE, *LIVE])
            yield ["EOSE", name]

    async with a_line(answer) as heard:
        await heard.line.subscribe("live-0", [PROJECTS])
        await heard.until(lambda: heard.health.errors)
        assert heard.ids == ids(LIVE)
        size = len(compact(PROFILE)) + len(compact(STORED))
        assert heard.health.errors == {"unusable": 1, "unusable_bytes": size}


async def test_an_unanswered_question_gives_its_events_all_the_same() -> None:
    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, LIVE)
            yield ["CLOSED", name, "error: enough"]

    async with a_line(answer) as heard:
        with pytest.raises(Refused) as caught:
            await heard.line.page({"kinds": [3030]})
        assert caught.value.code == "error"
        assert heard.ids == ids(LIVE)
        await heard.settled()
        assert not heard.health.errors


async def test_an_event_with_many_tags_is_heard() -> None:
    """The deny list of the hub names every project that it denies in a tag."""
    tags = [("p", f"{n:064x}") for n in range(12_000)]
    many = sign_event(bytes(31) + b"\x05", kind=30000, content="", created_at=5, tags=tags)

    def answer(verb: str, name: str) -> Iterator[object]:
        if verb == "REQ":
            yield from events(name, [many])
            yield ["EOSE", name]

    async with a_line(answer) as heard:
        await heard.line.subscribe("live-0", [{"kinds": [30000]}])
        await heard.settled()
        assert heard.ids == [many["id"]]
        assert not heard.health.errors

"""A relay that misbehaves on purpose, as LocalRelay cannot. Its mode may change at any time."""

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from raised_simnet.actors.nostr_event import Event, compact, event_id, sign_event
from raised_simnet.http.http_server import LoopThread

Filter = Mapping[str, object]
Send = Callable[[object], None]

_AUTH_KIND: Final = 22242
_OTHER_AUTHOR: Final = bytes(31) + b"\x07"
_GARBAGE: Final = (
    "not json",
    "{}",
    "[]",
    "[1,2,3]",
    '["EVENT"]',
    '["EVENT","?",{"id":"00"}]',
    '["EVENT","?",null]',
    '["EOSE"]',
    '["UNHEARD-OF","?"]',
    '["OK",1,2,3]',
    "\ud7ff" * 10,
    "[" * 2000,
)


class Mode(StrEnum):
    """How the relay behaves. All but SILENT, CLOSED and NOTICE also serve the genuine events."""

    HONEST = "honest"
    GARBAGE = "garbage"  # frames that are no messages, then the honest answer
    FLOOD = "flood"  # `flood_size` valid events of another author first
    SILENT = "silent"  # accepts connections, never answers
    ENDLESS = "endless"  # serves events, but sends no EOSE
    CUT = "cut"  # half of the events, then half a frame, then disconnects
    SWAPPED = "swapped"  # each event, then its id with other content
    SWAPPED_FIRST = "swapped_first"  # the other content first
    BAD_SIGNATURES = "bad_signatures"
    FORGED_IDS = "forged_ids"  # content altered, and the id computed from it
    UNREQUESTED = "unrequested"  # every event it has, whatever was requested
    AUTH = "auth"  # serves nothing before NIP-42 authentication
    CLOSED = "closed"  # refuses every subscription
    NOTICE = "notice"  # refuses every subscription by a NOTICE alone


class HostileRelay:
    """A WebSocket server with events. `received`: every message from clients, oldest first."""

    def __init__(self, events: Sequence[Event] = (), *, mode: Mode = Mode.HONEST) -> None:
        self.events = list(events)
        self.mode = mode
        self.flood_size = 10_000
        # Kinds whose filters it refuses by a CLOSED, or leaves without an answer.
        self.closed_kinds: frozenset[int] = frozenset()
        self.silent_kinds: frozenset[int] = frozenset()
        self.flood_may_end = threading.Event()  # until then the last event of a flood is kept back
        self.flood_may_end.set()
        self.received: list[list[object]] = []
        self.connections = 0
        self.url = ""
        self._port = 0
        self._thread = LoopThread("simnet hostile relay")
        self._server: Server | None = None
        self._flood: list[str] = []

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        self._thread.call(self._listen())

    def stop(self) -> None:
        """Stop for good."""
        self._thread.call(self._close_all())
        self._thread.stop()

    def disconnect(self) -> None:
        """Refuse connections and drop those that are open, until `listen`."""
        self._thread.call(self._close_all())

    def listen(self) -> None:
        """Listen again on the same port."""
        self._thread.call(self._listen())

    def broadcast(self, *message: object) -> None:
        """Send a message to everybody who is connected."""
        self._thread.call(self._broadcast(compact(message)))

    async def _broadcast(self, text: str) -> None:
        if self._server is not None:
            for connection in list(self._server.connections):
                await connection.send(text)

    async def _listen(self) -> None:
        self._server = await serve(self._serve_client, "127.0.0.1", self._port, max_size=None)
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{self._port}"

    async def _close_all(self) -> None:
        if self._server is not None:
            for connection in self._server.connections:
                connection.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve_client(self, socket: ServerConnection) -> None:
        self.connections += 1
        client = _Client(self, socket)
        with suppress(ConnectionClosed):
            await client.send_challenge()
            async for text in socket:
                message = cast("list[object]", json.loads(text))
                self.received.append(message)
                await client.answer(message)

    def flood_events(self) -> list[str]:
        """Valid events of another author as JSON, made once."""
        while len(self._flood) < self.flood_size:
            number = len(self._flood)
            event = sign_event(_OTHER_AUTHOR, kind=3030, content=f"{number}", created_at=number)
            self._flood.append(compact(event))
        return self._flood[: self.flood_size]


class _Client:
    def __init__(self, relay: HostileRelay, socket: ServerConnection) -> None:
        self._relay = relay
        self._socket = socket
        self._challenge = secrets.token_hex(16)
        self._is_authenticated = False

    async def send_challenge(self) -> None:
        if self._relay.mode is Mode.AUTH:
            await self._send("AUTH", self._challenge)

    async def answer(self, message: list[object]) -> None:
        verb, *rest = message
        if self._relay.mode is Mode.SILENT:
            return
        if verb == "AUTH":
            await self._authenticate(cast("Event", rest[0]))
        elif verb == "EVENT":
            await self._publish(cast("Event", rest[0]))
        elif verb == "REQ":
            await self._subscribe(str(rest[0]), cast("list[Filter]", rest[1:]))
        elif verb != "CLOSE":
            await self._send("NOTICE", f"unknown command {verb}")

    async def _send(self, *message: object) -> None:
        # Half of a surrogate pair travels as an escape.
        await self._socket.send(compact(message).encode(errors="backslashreplace").decode())

    async def _send_ok(self, event: Event, reason: str, *, accepted: bool) -> None:
        await self._send("OK", event["id"], accepted, reason)

    async def _authenticate(self, event: Event) -> None:
        self._is_authenticated = (
            event["kind"] == _AUTH_KIND and ["challenge", self._challenge] in event["tags"]
        )
        reason = "" if self._is_authenticated else "invalid: another challenge"
        await self._send_ok(event, reason, accepted=self._is_authenticated)

    async def _publish(self, event: Event) -> None:
        if self._relay.mode is Mode.AUTH and not self._is_authenticated:
            await self._send_ok(event, "auth-required: please authenticate", accepted=False)
            return
        self._relay.events.append(event)
        await self._send_ok(event, "", accepted=True)

    async def _subscribe(self, name: str, filters: list[Filter]) -> None:
        if await self._refuses(name) or await self._refuses_kinds(name, filters):
            return
        await self._send_bad_data(name)
        events = self._matching(filters)
        if self._relay.mode is Mode.CUT:
            await self._send_half(name, events)
            return
        for event in events:
            for sent in _altered(self._relay.mode, event):
                await self._send("EVENT", name, sent)
        if self._relay.mode is not Mode.ENDLESS:
            await self._send("EOSE", name)

    async def _send_bad_data(self, name: str) -> None:
        match self._relay.mode:
            case Mode.GARBAGE:
                for frame in _GARBAGE:
                    await self._socket.send(frame.replace("?", name))
                await self._socket.send(b"\x00\xff\xfe")
            case Mode.FLOOD:
                *texts, last = self._relay.flood_events()
                for text in texts:
                    await self._socket.send(f'["EVENT",{json.dumps(name)},{text}]')
                while not self._relay.flood_may_end.is_set():  # noqa: ASYNC110 - for any thread
                    await asyncio.sleep(0.01)
                await self._socket.send(f'["EVENT",{json.dumps(name)},{last}]')
            case _:
                pass

    async def _refuses(self, name: str) -> bool:
        match self._relay.mode:
            case Mode.AUTH if not self._is_authenticated:
                await self._send("CLOSED", name, "auth-required: please authenticate")
            case Mode.CLOSED:
                await self._send("CLOSED", name, "error: no subscriptions")
            case Mode.NOTICE:
                await self._send("NOTICE", "too many subscriptions")
            case _:
                return False
        return True

    async def _refuses_kinds(self, name: str, filters: list[Filter]) -> bool:
        kinds = {kind for each in filters for kind in cast("list[int]", each.get("kinds", []))}
        if kinds & self._relay.closed_kinds:
            await self._send("CLOSED", name, "auth-required: not for everybody")
        return bool(kinds & (self._relay.closed_kinds | self._relay.silent_kinds))

    def _matching(self, filters: list[Filter]) -> list[Event]:
        newest_first = sorted(
            self._relay.events, key=lambda event: (-event["created_at"], event["id"])
        )
        if self._relay.mode is Mode.UNREQUESTED:
            return newest_first
        results: dict[str, Event] = {}
        for conditions in filters:
            matching = [event for event in newest_first if matches(conditions, event)]
            limit = cast("int | None", conditions.get("limit"))
            results.update((event["id"], event) for event in matching[:limit])
        return list(results.values())

    async def _send_half(self, name: str, events: list[Event]) -> None:
        half = len(events) // 2
        for event in events[:half]:
            await self._send("EVENT", name, event)
        # A text frame that promises 4,096 bytes, and the first few of them.
        self._socket.transport.write(b'\x81\x7e\x10\x00["EVENT",')
        self._socket.transport.close()


def _altered(mode: Mode, event: Event) -> Iterator[Event]:
    """What is sent in place of an event."""
    swapped = Event(**{**event, "content": event["content"] + " "})
    if mode is Mode.BAD_SIGNATURES:
        last = "1" if event["sig"][-1] == "0" else "0"
        yield Event(**{**event, "sig": event["sig"][:-1] + last})
    elif mode is Mode.FORGED_IDS:
        yield Event(**{**swapped, "id": event_id(swapped)})
    elif mode is Mode.SWAPPED_FIRST:
        yield from (swapped, event)
    elif mode is Mode.SWAPPED:
        yield from (event, swapped)
    else:
        yield event


def matches(conditions: Filter, event: Event) -> bool:
    """Whether an event matches a filter of a REQ. Source: NIP-01."""
    fields = {"ids": event["id"], "authors": event["pubkey"], "kinds": event["kind"]}
    for name, value in fields.items():
        if value not in cast("list[object]", conditions.get(name, [value])):
            return False
    since = cast("int", conditions.get("since", event["created_at"]))
    until = cast("int", conditions.get("until", event["created_at"]))
    if not since <= event["created_at"] <= until:
        return False
    tags = {(tag[0], tag[1]) for tag in event["tags"] if len(tag) > 1}
    return all(
        any((name[1:], value) in tags for value in cast("list[str]", values))
        for name, values in conditions.items()
        if name.startswith("#")
    )

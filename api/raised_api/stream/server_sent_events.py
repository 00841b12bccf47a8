"""The stream of changes as server-sent events. Source: design.md 8; HTML standard, 9.2."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from raised.db.queries.feed import Head
from raised.errors import RecordUnavailable
from raised_api.http.auth import READ, Access, ApiKeyCache, access_in
from raised_api.http.parameters import (
    Parameter,
    parse_header_number,
    parse_query,
    texts_matching,
    whole_number,
)
from raised_api.http.problems import Problem
from raised_api.http.route import BASE
from raised_api.stream.feed import Feed, Message, Reader

PATH: Final = f"{BASE}/changes/stream"
LAST_EVENT_ID: Final = "last-event-id"

TYPE = texts_matching("type", r"[a-z_]+(\.[a-z_]+)?", "Only changes of these types.")
AFTER = whole_number("after", 0, 2**63 - 1, "The number of the last change seen; 0: all kept.")
PARAMETERS: tuple[Parameter, ...] = (AFTER, TYPE)

_GOODBYE_SECONDS: Final = 1.0
_RETRY: Final = b"retry: 3000\n\n"
_PING: Final = b": ping\n\n"
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


def stream_handler(feed: Feed, keys: ApiKeyCache) -> HTTPRouteHandler:
    """The route of the stream."""

    @get(PATH, name="changes_stream")
    async def stream(request: Request[Any, Any, Any]) -> ASGIApp:
        access = access_in(request)
        access.require(READ)
        asked = parse_query(PARAMETERS, request.scope["query_string"])
        last_seen = parse_header_number(request.headers, LAST_EVENT_ID)
        start = last_seen if last_seen is not None else asked["after"]
        reader = _Asker(access, keys, frozenset(asked["type"]))
        return _Stream(feed, await feed.head(), start, reader)

    return stream


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who reads a stream, and what of it."""

    access: Access
    keys: ApiKeyCache
    types: Collection[str]

    def part(self, messages: list[Message]) -> bytes:
        """What is for this reader."""
        sees = self.access.sees_invoices
        return b"".join(
            one.data if sees else one.public
            for one in messages
            if not self.types or one.type in self.types
        )

    async def may_stay(self) -> bool:
        """Whether the key still holds."""
        if self.access.token is None:
            return True
        try:
            return (await self.keys.access_with(self.access.token)).scopes == self.access.scopes
        except Problem:
            return False


class _Stream:
    """One reader's stream, as an ASGI application."""

    def __init__(self, feed: Feed, head: Head, start: int | None, asker: _Asker) -> None:
        self._feed = feed
        self._asker = asker
        self._seq, self._greeting = _begin(head, start)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        del scope  # the question was read before
        async with asyncio.TaskGroup() as group:
            reader = Reader(self._seq)
            sending = group.create_task(self._send_all(send, reader))
            reader.let_go = sending.cancel
            leaving = group.create_task(_until_gone(receive))
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            is_gone = leaving.done()
            sending.cancel()
            leaving.cancel()
        if not is_gone:
            await _say_goodbye(send)

    async def _send_all(self, send: Send, reader: Reader) -> None:
        with self._feed.joined(reader):
            await _write(send, self._greeting)
            try:
                await self._send_changes(send, reader)
            except RecordUnavailable:
                return  # the reader comes back and is told

    async def _send_changes(self, send: Send, reader: Reader) -> None:
        async for messages in self._feed.messages(reader):
            if not await self._asker.may_stay():
                return
            part = self._asker.part(messages) if messages else _PING
            if part:
                await _write(send, part)


def _begin(head: Head, start: int | None) -> tuple[int, bytes]:
    """The number after which the stream goes on, and what it says first."""
    data = msgspec.json.encode({"seq": head.seq, "oldest": head.oldest})
    # No id: a break right after it must not skip the replay.
    hello = _RETRY + b"event: hello\ndata: %s\n\n" % data
    if start is None:
        return head.seq, hello
    if _is_kept(start, head):
        return start, hello
    return head.seq, hello + b"id: %d\nevent: reset\ndata: %s\n\n" % (head.seq, data)


def _is_kept(start: int, head: Head) -> bool:
    """Whether everything after this number is still there; 0 asks for whatever is."""
    if start == 0:
        return True
    return start <= head.seq and (head.oldest is None or start >= head.oldest - 1)


async def _write(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _say_goodbye(send: Send) -> None:
    """End the answer properly, unless the reader does not even take that."""
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        return


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

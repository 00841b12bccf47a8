"""The stream of changes as server-sent events. Source: HTML standard, 9.2."""

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
from raised_api.http.auth import Access, ApiKeyCache, access_of, require_scope
from raised_api.http.endpoint import BASE
from raised_api.http.parameters import (
    Parameter,
    parse_header_number,
    parse_query,
    texts_matching,
    whole_number,
)
from raised_api.http.problems import Problem
from raised_api.stream.feed import Feed, Message, Reader

PATH: Final = f"{BASE}/changes/stream"
LAST_EVENT_ID: Final = "last-event-id"

TYPE = texts_matching("type", r"[a-z_]+(\.[a-z_]+)?", "Only changes of these types.")
AFTER = whole_number("after", 0, 2**63 - 1, "The number of the last change seen; 0: all kept.")
PARAMETERS: tuple[Parameter, ...] = (AFTER, TYPE)

# A client that reads nothing keeps the end of the response waiting; shutting down does not wait.
_END_SECONDS: Final = 1.0
_RETRY: Final = b"retry: 3000\n\n"  # milliseconds after which a browser connects again
_PING: Final = b": ping\n\n"
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


def stream_handler(feed: Feed, api_keys: ApiKeyCache) -> HTTPRouteHandler:
    """The route of the stream."""

    @get(PATH, name="changes_stream", guards=[require_scope])
    async def stream(request: Request[Any, Any, Any]) -> ASGIApp:
        query = parse_query(PARAMETERS, request.scope["query_string"])
        last_event_id = parse_header_number(request.headers, LAST_EVENT_ID)
        start = query["after"] if last_event_id is None else last_event_id
        subscription = _Subscription(access_of(request.scope), api_keys, frozenset(query["type"]))
        return _Stream(feed, await feed.head(), start, subscription)

    return stream


@dataclass(frozen=True, slots=True)
class _Subscription:
    """Who reads a stream, and which types of change; none: all."""

    access: Access
    api_keys: ApiKeyCache
    types: Collection[str]

    def select(self, messages: list[Message]) -> bytes:
        """The events that are for this reader."""
        sees_invoices = self.access.sees_invoices
        return b"".join(
            message.data if sees_invoices else message.public
            for message in messages
            if not self.types or message.type in self.types
        )

    async def is_authorized(self) -> bool:
        """Whether the key has not been revoked since the stream began."""
        if self.access.token is None:
            return True
        try:
            access = await self.api_keys.authenticate_token(self.access.token)
        except Problem:
            return False
        return access.scopes == self.access.scopes


class _Stream:
    """One reader's stream, as an ASGI application: Litestar's own stream of server-sent events
    cannot be ended by us while it waits for a slow client.
    """

    def __init__(
        self, feed: Feed, head: Head, start: int | None, subscription: _Subscription
    ) -> None:
        self._feed = feed
        self._subscription = subscription
        self._seq, self._first_events = _first_events(head, start)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        del scope  # the handler has read the request
        async with asyncio.TaskGroup() as group:
            reader = Reader(self._seq)
            sending = group.create_task(self._send_all(send, reader))
            reader.disconnect = sending.cancel
            disconnected = group.create_task(_wait_for_disconnect(receive))
            await asyncio.wait({sending, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            has_left = disconnected.done()
            sending.cancel()
            disconnected.cancel()
        if not has_left:
            await _end_response(send)

    async def _send_all(self, send: Send, reader: Reader) -> None:
        with self._feed.registered(reader):
            await _write(send, self._first_events)
            try:
                await self._send_changes(send, reader)
            except RecordUnavailable:
                return  # the client connects again, and gets a problem that says so

    async def _send_changes(self, send: Send, reader: Reader) -> None:
        async for messages in self._feed.messages(reader):
            # Checked at each ping, too, so that a revoked key ends a stream without changes.
            if not await self._subscription.is_authorized():
                return
            part = self._subscription.select(messages) if messages else _PING
            if part:
                await _write(send, part)


def _first_events(head: Head, start: int | None) -> tuple[int, bytes]:
    """The number after which the stream goes on, and the events that are sent first."""
    data = msgspec.json.encode({"seq": head.seq, "oldest": head.oldest})
    # No id: a break right after it must not skip the replay.
    hello = _RETRY + b"event: hello\ndata: %s\n\n" % data
    if start is None:
        return head.seq, hello
    if _is_stored(start, head):
        return start, hello
    return head.seq, hello + b"id: %d\nevent: reset\ndata: %s\n\n" % (head.seq, data)


def _is_stored(start: int, head: Head) -> bool:
    """Whether every change after this number is still stored; 0 asks for whatever is."""
    if start == 0:
        return True
    return start <= head.seq and (head.oldest is None or start >= head.oldest - 1)


async def _write(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _end_response(send: Send) -> None:
    """End the response properly, unless the client does not even take that."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        return


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The response cache: between two changes of the record, the same request has the same response.

A cached response depends on route, parameters, the newest change, the minute, staleness and whether
the caller sees invoices, and on nothing else. When the newest change, the minute or staleness
moves, everything is dropped.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from raised_api.http.auth import READ, access_of
from raised_api.http.responses import Headers, send_response

# Anybody can make up requests that nobody repeats: their responses must not fill the memory.
_MAX_BYTES: Final = 32 * 1024 * 1024
_ENTRY_BYTES: Final = 1024  # what an entry costs beside its body, about

_VERSION: Final = "record_version"
CACHED: Final = "cached"  # a handler's `opt`: False where responses move without a change

# Path and query string, and whether the caller sees rows that make payers traceable.
Key = tuple[str, bytes, bool]


class RecordVersion(NamedTuple):
    """What a cached response depends on beside the request."""

    seq: int
    minute: int
    stale: bool


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A body with its ETag and headers. `route`: the path template, for the metrics."""

    body: bytes
    etag: bytes
    route: str
    headers: Headers


class ResponseCache:
    """Keeps responses while they hold. `version` gives the record's version at a time."""

    def __init__(self, version: Callable[[int], RecordVersion], clock: Callable[[], int]) -> None:
        self._current_version = version
        self._clock = clock
        self._responses: dict[Key, CachedResponse] = {}
        self._version = RecordVersion(-1, 0, stale=True)
        self._bytes = 0
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def get(self, key: Key) -> CachedResponse | None:
        """The response to the same request, if it still holds."""
        version = self._current_version(self._clock())
        if version != self._version:
            self._responses.clear()
            self._version, self._bytes = version, 0
            return None
        return self._responses.get(key)

    def put(self, key: Key, response: CachedResponse, version: RecordVersion) -> None:
        """Keep a response that is at least as new as all that the stream has announced."""
        current = self._current_version(self._clock())
        if version.seq < current.seq or version[1:] != current[1:] or current != self._version:
            return
        weight = len(response.body) + len(key[1]) + _ENTRY_BYTES
        if self._bytes + weight <= _MAX_BYTES:
            self._responses[key] = response
            self._bytes += weight

    def lock(self, key: Key) -> asyncio.Lock:
        """Held while the response to this request is computed: the record is read once for all
        that ask the same meanwhile.
        """
        return self._locks.setdefault(key, asyncio.Lock())


def set_version(scope: HTTPScope, version: RecordVersion) -> None:
    """Note the version of the record from which this request is answered."""
    scope["state"][_VERSION] = version


class CachedResponseMiddleware:
    """Answers from the cache before Litestar sees the request.

    Stands outside of Litestar's router, since routing costs as much as all the rest of a cached
    response.
    """

    def __init__(
        self,
        app: ASGIApp,
        cache: ResponseCache,
        *,
        prefix: str,
        on_hit: Callable[[], object],
    ) -> None:
        self._app = app
        self._cache = cache
        self._prefix = prefix
        self._on_hit = on_hit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or let the application answer."""
        if scope["type"] == ScopeType.HTTP and (response := self._cached(scope)):
            scope["path_template"] = response.route
            self._on_hit()
            await _send(scope, send, response)
        else:
            await self._app(scope, receive, send)

    def _cached(self, scope: HTTPScope) -> CachedResponse | None:
        if scope["method"] != "GET" or not scope["path"].startswith(self._prefix):
            return None
        return self._cache.get(_key(scope)) if READ in access_of(scope).scopes else None


class ResponseCacheMiddleware:
    """Fills the cache, gives every response of the API its ETag, and answers 304 where the client
    has the response already. Litestar's own response cache knows no ETag and only fixed lifetimes.
    """

    def __init__(self, app: ASGIApp, cache: ResponseCache) -> None:
        self._app = app
        self._cache = cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET from the cache or from the handler; let everything else pass."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        handled = _HandledResponse(scope)
        # Checked here, too: the handler's guard comes after the cache.
        if scope["route_handler"].opt.get(CACHED, True) and READ in access_of(scope).scopes:
            response = await self._get_or_handle(handled, receive)
        else:
            await self._app(scope, receive, handled)
            response = handled.response()
        if response is None:
            await handled.forward(send)
        else:
            await _send(scope, send, response)

    async def _get_or_handle(
        self, handled: "_HandledResponse", receive: Receive
    ) -> CachedResponse | None:
        key = _key(handled.scope)
        async with self._cache.lock(key):
            if response := self._cache.get(key):
                return response
            await self._app(handled.scope, receive, handled)
            response = handled.response()
            if response is not None:
                self._cache.put(key, response, handled.scope["state"][_VERSION])
            return response


class _HandledResponse:
    """A `send` that holds back what the handler answers."""

    def __init__(self, scope: HTTPScope) -> None:
        self.scope = scope
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    def response(self) -> CachedResponse | None:
        """The response if it is a success."""
        start: Any = self._messages[0]
        if start["status"] != 200:
            return None
        parts: Any = self._messages[1:]
        body = b"".join(part["body"] for part in parts)
        # Other names for callers who see invoices: a name must not tell who has asked before.
        key = b"invoices" if access_of(self.scope).sees_invoices else b""
        digest = blake2b(body, digest_size=16, key=key)
        etag = b'"%s"' % digest.hexdigest().encode()
        headers = [
            *_validators(etag),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        return CachedResponse(body, etag, self.scope["path_template"], headers)

    async def forward(self, send: Send) -> None:
        """Send it as it is."""
        for message in self._messages:
            await send(message)


def _key(scope: HTTPScope) -> Key:
    return scope["path"], scope["query_string"], access_of(scope).sees_invoices


async def _send(scope: HTTPScope, send: Send, response: CachedResponse) -> None:
    if _has_current_etag(scope, response.etag):
        await send_response(send, 304, _validators(response.etag), b"")
    else:
        await send_response(send, 200, response.headers, response.body)


def _validators(etag: bytes) -> Headers:
    return [
        (b"etag", etag),
        (b"cache-control", b"no-cache"),  # browsers ask again each time; a 304 is cheap
        (b"vary", b"authorization"),
    ]


def _has_current_etag(scope: HTTPScope, etag: bytes) -> bool:
    """Whether the client has this response already. Source: RFC 9110, 13.1.2."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            tags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
            if etag in tags or b"*" in tags:
                return True
    return False

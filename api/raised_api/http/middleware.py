"""The gate in front of Litestar: who may ask, how often, and ready answers at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from raised.errors import RecordUnavailable
from raised_api.http.auth import ANONYMOUS, READ, Access, ApiKeyCache, note_access
from raised_api.http.client_ip import client_address
from raised_api.http.metrics import Metrics
from raised_api.http.problems import MEDIA_TYPE, Problem, to_problem
from raised_api.http.rate_limit import Quota, RateLimiter
from raised_api.http.response_cache import CachedResponse, Key, ResponseCache
from raised_api.http.route import BASE
from raised_api.stream.server_sent_events import PATH as STREAM
from raised_api.webhooks.receiver import ROUTE as WEBHOOKS
from raised_api.webhooks.receiver import Webhooks

Headers = list[tuple[bytes, bytes]]

_HEALTH = "/health"
_METRICS = "/metrics"
_ALWAYS: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


@dataclass(frozen=True, slots=True)
class Gate:
    """An ASGI application around another one."""

    inner: ASGIApp
    answers: ResponseCache
    webhooks: Webhooks
    keys: ApiKeyCache
    limits: RateLimiter
    meter: Metrics
    clock: Callable[[], int]
    trusted: tuple[str, ...]
    is_shared: bool  # pages of other origins may read: Litestar adds what their browsers need

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let somebody within answer."""
        if scope["type"] != ScopeType.HTTP:
            await self.inner(scope, receive, send)
        elif self.webhooks.is_here(scope["path"]):
            await self._deliver(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _deliver(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        status = await self.webhooks.answer(scope, receive, send)
        self.meter.count(WEBHOOKS, status, perf_counter() - began)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        headers, status, route = list(_ALWAYS), [0], ""
        try:
            access = await self._admit(scope, headers)
        except (Problem, RecordUnavailable) as error:
            problem = to_problem(error)
            status[0] = problem.status
            await _send_problem(send, problem, headers)
        else:
            if ready := self._ready(scope, access):
                route = ready.template
                status[0] = await _send_ready(scope, send, ready, headers)
                self.meter.count_ready()
            else:
                inside = _shown_inside(scope)
                note_access(inside, access)
                await self.inner(inside, receive, _adding(send, headers, status))
                route = inside.get("path_template", "")
        if scope["path"] != STREAM:
            self.meter.count(route, status[0], perf_counter() - began)

    async def _admit(self, scope: HTTPScope, headers: Headers) -> Access:
        """Who asks, unless too often; adds the headers that say how often."""
        path = scope["path"]
        if path.startswith(_HEALTH):
            return ANONYMOUS
        access = await self._access(scope, headers)
        if path != _METRICS:
            asker = access.key_id or client_address(scope, self.trusted)
            self._take(asker, headers)
        if path.startswith(BASE) and access.key_id is None and scope["method"] != "OPTIONS":
            access.require(READ)
        return access

    async def _access(self, scope: HTTPScope, headers: Headers) -> Access:
        try:
            return await self.keys.access_of(scope)
        except Problem:
            self._take(client_address(scope, self.trusted), headers)  # guesses count, too
            raise

    def _take(self, asker: str, headers: Headers) -> None:
        taken = self.limits.take(asker, self.clock())
        headers += _limit_headers(self.limits.per_minute, taken)
        if not taken.is_allowed:
            raise _too_many(taken)

    def _ready(self, scope: HTTPScope, access: Access) -> CachedResponse | None:
        if scope["method"] not in {"GET", "HEAD"} or not scope["path"].startswith(BASE):
            return None
        if READ not in access.scopes:
            return None
        if self.is_shared and any(name == b"origin" for name, _ in scope["headers"]):
            return None
        return self.answers.find(question(scope, access))


def is_known(scope: HTTPScope, etag: str) -> bool:
    """Whether the client has this answer already."""
    wanted = etag.encode()
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            tags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
            if wanted in tags or b"*" in tags:
                return True
    return False


def question(scope: HTTPScope, access: Access) -> Key:
    """What was asked, and by whom as far as the answer depends on it."""
    return scope["path"], scope["query_string"], access.sees_invoices


def ready_headers(ready: CachedResponse) -> Headers:
    """What every answer of the API says beside its body: ask again, it is cheap."""
    return [
        (b"etag", ready.etag.encode()),
        (b"cache-control", b"no-cache"),
        (b"vary", b"authorization"),
    ]


def _shown_inside(scope: HTTPScope) -> HTTPScope:
    """What is shown to the application: HEAD is a GET whose body the server leaves out."""
    if scope["method"] == "HEAD" and scope["path"] != STREAM:
        return {**scope, "method": "GET"}
    return scope


def _limit_headers(limit: int, taken: Quota) -> Headers:
    return [
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % taken.remaining),
        (b"ratelimit-reset", b"%d" % taken.reset_seconds),
    ]


def _too_many(taken: Quota) -> Problem:
    return Problem(
        429,
        f"Too many questions; go on in {taken.reset_seconds} seconds.",
        headers={"retry-after": str(taken.reset_seconds)},
    )


async def _send_ready(scope: HTTPScope, send: Send, ready: CachedResponse, headers: Headers) -> int:
    headers = headers + ready_headers(ready)
    if is_known(scope, ready.etag):
        await _send(send, 304, headers, b"")
        return 304
    headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", b"%d" % len(ready.body)))
    await _send(send, 200, headers, ready.body)
    return 200


async def _send_problem(send: Send, problem: Problem, headers: Headers) -> None:
    body = problem.body()
    own: Iterable[tuple[str, str]] = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **problem.headers,
    }.items()
    encoded = [(name.encode(), value.encode()) for name, value in own]
    await _send(send, problem.status, headers + encoded, body)


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _adding(send: Send, headers: Headers, status: list[int]) -> Send:
    """A send that adds headers, and notes the status."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return sending

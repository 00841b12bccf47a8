"""The gate in front of Litestar: who may ask, how often, and ready answers at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from raised_api.addresses import client_of
from raised_api.answers import Answers, Ready
from raised_api.limits import Limits, Taken
from raised_api.meter import Meter
from raised_api.problems import MEDIA_TYPE, Problem
from raised_api.routes import BASE
from raised_api.stream import PATH as STREAM

Headers = list[tuple[bytes, bytes]]

_UNCOUNTED = ("/health", "/metrics")
_ALWAYS: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


@dataclass(frozen=True, slots=True)
class Gate:
    """An ASGI application around another one."""

    inner: ASGIApp
    answers: Answers
    limits: Limits
    meter: Meter
    clock: Callable[[], int]
    trusted: tuple[str, ...]
    is_open: bool  # public data is for everybody
    is_shared: bool  # pages of other origins may read: Litestar adds what their browsers need

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let somebody within answer."""
        if scope["type"] != ScopeType.HTTP:
            await self.inner(scope, receive, send)
            return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        headers, problem = self._admit(scope)
        status = [0]
        if problem is not None:
            route = ""
            status[0] = problem.status
            await _send_problem(send, problem, headers)
        elif ready := self._ready(scope):
            route = ready.template
            status[0] = await _send_ready(scope, send, ready, headers)
            self.meter.count_ready()
        else:
            inside = _shown_inside(scope)
            await self.inner(inside, receive, _adding(send, headers, status))
            route = inside.get("path_template", "")
        if scope["path"] != STREAM:
            self.meter.count(route, status[0], perf_counter() - began)

    def _admit(self, scope: HTTPScope) -> tuple[Headers, Problem | None]:
        path = scope["path"]
        if path.startswith(_UNCOUNTED):
            return _ALWAYS, None
        taken = self.limits.take(client_of(scope, self.trusted), self.clock())
        headers = _ALWAYS + _limit_headers(self.limits.per_minute, taken)
        if not taken.is_allowed:
            return headers, _too_many(taken)
        if not self.is_open and path.startswith(BASE) and scope["method"] != "OPTIONS":
            return headers, _closed()
        return headers, None

    def _ready(self, scope: HTTPScope) -> Ready | None:
        if scope["method"] not in {"GET", "HEAD"} or not scope["path"].startswith(BASE):
            return None
        if self.is_shared and any(name == b"origin" for name, _ in scope["headers"]):
            return None
        return self.answers.find((scope["path"], scope["query_string"]))


def is_known(scope: HTTPScope, etag: str) -> bool:
    """Whether the client has this answer already."""
    wanted = etag.encode()
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            tags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
            if wanted in tags or b"*" in tags:
                return True
    return False


def ready_headers(ready: Ready) -> Headers:
    """What every answer of the API says beside its body: ask again, it is cheap."""
    return [(b"etag", ready.etag.encode()), (b"cache-control", b"no-cache")]


def _shown_inside(scope: HTTPScope) -> HTTPScope:
    """What is shown to the application: HEAD is a GET whose body the server leaves out."""
    if scope["method"] == "HEAD" and scope["path"] != STREAM:
        return {**scope, "method": "GET"}
    return scope


def _limit_headers(limit: int, taken: Taken) -> Headers:
    return [
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % taken.remaining),
        (b"ratelimit-reset", b"%d" % taken.reset_seconds),
    ]


def _too_many(taken: Taken) -> Problem:
    return Problem(
        429,
        f"Too many questions from this address; go on in {taken.reset_seconds} seconds.",
        headers={"retry-after": str(taken.reset_seconds)},
    )


def _closed() -> Problem:
    return Problem(
        401,
        "This record is not public; ask with a key that has the scope read.",
        headers={"www-authenticate": "Bearer"},
    )


async def _send_ready(scope: HTTPScope, send: Send, ready: Ready, headers: Headers) -> int:
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

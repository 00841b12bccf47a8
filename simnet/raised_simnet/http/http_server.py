"""A small HTTP/1.1 server on loopback, in a thread of its own, that can also behave badly.

By hand on asyncio's streams: a tidy server would refuse to cut an answer short or to vanish.
"""

import asyncio
import contextlib
import inspect
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

_HOST: Final = "127.0.0.1"
_PATIENCE_SECONDS: Final = 60
_LARGEST_BODY: Final = 8_000_000
_STEPS_TO_BEGIN: Final = 5  # of the loop, from accepting a connection to knowing whom to hang up on
_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Header names are lower case; `target` is path and query as they came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    target: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. `cut_at`: promise the whole body, send so many bytes and hang up.

    `content_type` empty: there is none.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None


Handler = Callable[[Request], Response | Awaitable[Response]]


class Server(Protocol):
    """Something that listens on loopback."""

    url: str

    def start(self) -> None:
        """Begin; returns when it listens."""

    def stop(self) -> None:
        """End."""


def json_response(value: object, status: int = 200) -> Response:
    """JSON as servers send it."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, body, "application/json")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Begin to run."""
        self._thread.start()

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine there and wait for it here."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(_PATIENCE_SECONDS)

    def stop(self) -> None:
        """Cancel what still runs and end the thread."""
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class WebServer:
    """Answers requests with `handler`, which runs in this server's thread."""

    def __init__(self, handler: Handler, *, port: int = 0) -> None:
        self.port = port
        self._handler = handler
        self._thread = LoopThread("simnet web")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Without a slash at the end; the port is known once it has started."""
        return f"http://{_HOST}:{self.port}"

    def start(self) -> None:
        """Listen, on a free port unless one was given."""
        self._thread.start()
        self._thread.call(self._listen())

    def stop(self) -> None:
        """Hang up on everybody and end."""
        self._thread.call(self._hang_up())
        self._thread.stop()

    def refuse(self, *, refuse: bool) -> None:
        """Close the door and hang up on everybody, or open it again on the same port."""
        self._thread.call(self._hang_up() if refuse else self._listen())

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._converse, _HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            # Python up to 3.12 leaves a socket open that was accepted in the very moment of closing
            # (python/cpython issue 109564), so accepting ends first, and what was accepted begins.
            for listening in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            for _ in range(_STEPS_TO_BEGIN):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                response = await self._answer(request)
                await _write(writer, response)
                if response.cut_at is not None or request.headers.get("connection") == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the other side is gone, or speaks something else
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, request: Request) -> Response:
        try:
            answer = self._handler(request)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception:  # noqa: BLE001  # a bug of ours must not look like silence
            _log.exception("%s %s", request.method, request.path)
            return Response(500, b"the simnet has a bug; see its log")


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request, or None when there will be no more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    fields = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    size = min(int(headers.get("content-length", "0")), _LARGEST_BODY)
    body = await reader.readexactly(size)
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    return Request(method, unquote(parts.path), query, headers, body, target)


async def _write(writer: asyncio.StreamWriter, response: Response) -> None:
    kind = {"Content-Type": response.content_type} if response.content_type else {}
    headers = {**kind, "Content-Length": str(len(response.body)), **response.headers}
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    writer.write(head + response.body[: response.cut_at])
    await writer.drain()

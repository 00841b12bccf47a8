"""The HTTP client of every source: deadlines, bounded bodies, retries; nobody above knows httpx.

What differs between hosts is given from outside: what an answer means (`read`), how often a host
may be asked (`RequestBudget`), which errors are worth another try (`Retries`), addresses and
headers (`ClientSettings`). Redirects are not followed and cookies are not kept: a source is asked
at the address an operator wrote down, and a session could grow without end.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final, Protocol, TypeVar

import httpx

from raised import __version__
from raised.errors import BadData, SourceError, Unavailable
from raised.net.backoff import backoff_seconds, loop_time
from raised.net.source_health import HostStats

T = TypeVar("T")
Query = Sequence[tuple[str, str]]
# What tests put in the place of the network.
Transport = httpx.AsyncBaseTransport

TOR_FACTOR: Final = 3.0  # answers through Tor take about so many times longer
UNTRUSTED: Final = "certificate"
RESTING: Final = "resting"  # the budget allows no request now
_ERROR_BODY_BYTES: Final = 16 * 1024  # enough for the codes and texts that decide
# More digits are no time to wait; other kinds of digits are no number to int.
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait: for a connection, between two parts of an answer, for the whole answer.

    Without the last one an answer could come byte by byte for ever.
    """

    connect_seconds: float
    read_seconds: float
    whole_seconds: float

    def times(self, factor: float) -> "Deadlines":
        """The same for a host that is so many times slower."""
        return Deadlines(
            self.connect_seconds * factor, self.read_seconds * factor, self.whole_seconds * factor
        )


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How to reach one host.

    `verify`: the authorities that certificates are checked against, True for the system's.
    `accepts_compressed`: whether answers may be compressed; where a host could send a few bytes
    that become gigabytes, they may not. `untrusted_hint`: what to say of a certificate that is not
    trusted; without it such a host counts as unreachable.
    """

    deadlines: Deadlines
    connections: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    proxy: str | None = None
    verify: ssl.SSLContext | bool = True
    accepts_compressed: bool = True
    untrusted_hint: str | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    `limit`: the most bytes of an answer. `cuts`: whether a longer one is cut there, instead of
    being an error. `whole_seconds`: the deadline of an answer that is larger than most.
    """

    url: str
    method: str = "GET"
    query: Query = ()
    json: Mapping[str, object] | None = None
    limit: int = 16 * 1024 * 1024
    cuts: bool = False
    whole_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer as it came. The names of `headers` are in lower case.

    `is_cut`: the body is only the beginning of a longer one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False

    @property
    def content_type(self) -> str:
        """What the host says the body is; empty where it does not say."""
        return self.headers.get("content-type", "")

    @property
    def retry_after(self) -> int | None:
        """The seconds that the host wants to be left alone for, where it says so in seconds."""
        value = self.headers.get("retry-after", "")
        return int(value) if _SECONDS.fullmatch(value) else None


class RequestBudget(Protocol):
    """When one host may be asked, and what its answers mean for that."""

    def permit(self) -> AbstractAsyncContextManager[None]:
        """Wait until a request may be sent; it lasts as long as the context.

        Raises Unavailable (code `resting`) at once while the host is left alone.
        """
        ...

    def on_success(self) -> None:
        """A request was answered."""
        ...

    def on_error(self, error: SourceError) -> None:
        """A request failed; it may be tried again."""
        ...

    def on_give_up(self) -> None:
        """The last try of a request failed."""
        ...


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is tried, and the pauses between the tries.

    The first pause lasts up to `first_seconds`, each further one up to twice as long.
    `is_retryable`: whether another try may help after this error. `honours_retry_after`: whether
    a pause lasts at least as long as the host asks for.
    """

    attempts: int
    first_seconds: float
    longest_seconds: float
    is_retryable: Callable[[Unavailable], bool]
    honours_retry_after: bool


class HttpClient:
    """Requests to one host. Errors carry `name`; `stats` counts what they did.

    All calls raise Unavailable, Refused or BadData: those of `read`, Unavailable with the codes
    `timeout`, `unreachable`, `certificate` or `resting`, BadData with `too_long` or `bad_answer`.
    """

    def __init__(
        self,
        name: str,
        settings: ClientSettings,
        budget: RequestBudget,
        retries: Retries,
        *,
        transport: Transport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.stats = HostStats()
        self._settings = settings
        self._budget = budget
        self._retries = retries
        self._sleep = sleep
        self._in_flight: dict[object, float] = {}  # since when each request waits
        self._client = _httpx_client(settings, transport)

    @property
    def waiting_seconds(self) -> float:
        """For how long the oldest request waits for its answer; 0 when there is none."""
        return max((loop_time() - since for since in self._in_flight.values()), default=0.0)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, request: HttpRequest, read: Callable[[HttpResponse], T]) -> T:
        """What `read` makes of the answer; tried again as far as the policy allows.

        Only for requests that change nothing on the host.
        """
        failures = 0
        while True:
            try:
                return await self.send(request, read)
            except Unavailable as error:
                if error.code == RESTING or not self._retries.is_retryable(error):
                    raise
                failures += 1
                if failures >= self._retries.attempts:
                    self._budget.on_give_up()
                    raise
                await self._sleep(self._pause(error, failures - 1))

    async def send(self, request: HttpRequest, read: Callable[[HttpResponse], T]) -> T:
        """What `read` makes of the answer, asked once: a lost answer may have had its effect."""
        async with self._budget.permit():
            try:
                value = read(await self._answer(request))
            except SourceError as error:
                self.stats.record_error(error.code, error.detail)
                self._budget.on_error(error)
                raise
        self._budget.on_success()
        self.stats.record_success()
        return value

    def _pause(self, error: Unavailable, failures: int) -> float:
        pause = backoff_seconds(
            self._retries.first_seconds, self._retries.longest_seconds, failures
        )
        wanted = error.retry_after or 0 if self._retries.honours_retry_after else 0
        return max(pause, float(wanted))

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request within its deadlines; httpx's errors become ours."""
        whole = request.whole_seconds or self._settings.deadlines.whole_seconds
        started, key = loop_time(), object()
        self._in_flight[key] = started
        try:
            async with asyncio.timeout(whole):
                response = await self._exchange(request)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(self.name, "gave no answer in time", "timeout") from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            del self._in_flight[key]
        self.stats.record_latency(loop_time() - started)
        return response

    async def _exchange(self, request: HttpRequest) -> HttpResponse:
        async with self._stream(request) as response:
            # Only a success has a body worth its whole length; of errors the beginning decides.
            most = request.limit if response.is_success else _ERROR_BODY_BYTES
            compressed = self._is_unwanted_encoding(response)
            body = b"" if compressed else await _bounded_body(response, most)
            if response.is_success and compressed:
                sentence = "compresses its answers, which was not asked for"
                raise BadData(self.name, sentence, "bad_answer")
            is_cut = response.is_success and len(body) > most
            if is_cut and not request.cuts:
                raise BadData(self.name, "sends more than we asked for", "too_long")
            headers = dict(response.headers.items())
            return HttpResponse(response.status_code, headers, body, is_cut)

    @asynccontextmanager
    async def _stream(self, request: HttpRequest) -> AsyncIterator[httpx.Response]:
        content = None if request.json is None else dict(request.json)
        built = self._client.build_request(
            request.method, request.url, params=list(request.query) or None, json=content
        )
        response = await self._client.send(built, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    def _is_unwanted_encoding(self, response: httpx.Response) -> bool:
        encoding: str = response.headers.get("Content-Encoding", "identity")
        return not self._settings.accepts_compressed and encoding.lower() != "identity"

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        hint = self._settings.untrusted_hint
        # httpx has no error of its own for this; OpenSSL's reason is part of the text.
        if hint is not None and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return Unavailable(self.name, hint, UNTRUSTED)
        return Unavailable(self.name, "cannot be reached", "unreachable")


def is_http_url(text: str) -> bool:
    """Whether this is the address of an HTTP server, without a query or a fragment."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    is_plain = not url.query and not url.fragment
    return url.scheme in ("http", "https") and bool(url.host) and is_plain


def authorities_of(ca_file: Path) -> ssl.SSLContext:
    """Trust the certificate authorities of this file alone. Raises OSError when it has none."""
    return ssl.create_default_context(cafile=str(ca_file))


@cache
def _usual_authorities() -> ssl.SSLContext:
    """Read once: that takes a hundred times as long as to make a client."""
    return httpx.create_ssl_context(trust_env=False)


def _httpx_client(settings: ClientSettings, transport: Transport | None) -> httpx.AsyncClient:
    encoding = {} if settings.accepts_compressed else {"Accept-Encoding": "identity"}
    deadlines = settings.deadlines
    return httpx.AsyncClient(
        headers={"User-Agent": f"raised/{__version__}", **encoding, **settings.headers},
        transport=transport,
        proxy=None if transport else settings.proxy,
        verify=_usual_authorities() if settings.verify is True else settings.verify,
        timeout=httpx.Timeout(deadlines.read_seconds, connect=deadlines.connect_seconds),
        limits=httpx.Limits(max_connections=settings.connections, max_keepalive_connections=2),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,  # proxies of the environment are meant for other programs
    )


async def _bounded_body(response: httpx.Response, most: int) -> bytes:
    """The body of a streamed answer, given up soon after `most` bytes: then it is longer."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most:
            break
    return bytes(body)

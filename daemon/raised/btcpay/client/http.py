"""Asking one BTCPay Server over HTTP: deadlines, limits, retries; nobody above knows httpx.

Only ever the configured address is asked, with one header that is a secret: it is in no error, no
log and no representation.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from raised import __version__
from raised.btcpay.client.http_status import Reply, value_of
from raised.btcpay.settings import StoreSettings
from raised.clock import now
from raised.errors import BadData, ConfigError, SourceError, Unavailable
from raised.net.http_client import HostStats, bounded_body, jittered, retry_after

Query = Sequence[tuple[str, str]]

SMALL: Final = 256 * 1024
PAGE: Final = 16 * 1024 * 1024
WHOLE_LIST: Final = 32 * 1024 * 1024  # of what has no pages
UNTRUSTED: Final = "certificate"
IN_FLIGHT: Final = 2  # requests to one server at a time (docs/btcpay.md 9.4)
_ERROR_BODY: Final = 16 * 1024
_TOR_FACTOR: Final = 3.0
_KEY: Final = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long we wait for an answer, and how trouble slows us down (docs/btcpay.md 9.5).

    A server that wants to be left alone for more than `longest_wait_seconds` is, by everybody.
    """

    attempts: int = 5
    base_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    longest_rest_seconds: float = 3600.0
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    whole_seconds: float = 120.0
    page_seconds: float = 1.0


class GreenfieldHttp:
    """The way to one store's server. `gate` bounds what all stores of a server ask at once."""

    def __init__(
        self,
        settings: StoreSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        gate: asyncio.Semaphore | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self.name = settings.label
        self.retry_policy = retry_policy or RetryPolicy()
        self.stats = HostStats()
        self.skew_seconds: int | None = None
        self._base = _base(settings)
        self._gate = gate or asyncio.Semaphore(IN_FLIGHT)
        self._slower = _TOR_FACTOR if settings.proxy else 1.0
        self._resting_until = 0.0
        self._client = httpx.AsyncClient(
            headers=_headers(settings),
            transport=transport,
            proxy=None if transport else settings.proxy,
            verify=_trust(settings),
            timeout=httpx.Timeout(
                self.retry_policy.read_seconds * self._slower,
                connect=self.retry_policy.connect_seconds * self._slower,
            ),
            limits=httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT),
            # A session is nothing to us, and could grow without end.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, query: Query = (), limit: int = PAGE) -> object:
        """The JSON value at this path; tried again while the server is busy or away.

        Raises Unavailable, Refused, or BadData when it is wrong or larger than `limit`.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._ask(self._request("GET", path, query), limit)
            except Unavailable as error:
                if (
                    tries >= self.retry_policy.attempts
                    or self._rest_seconds()
                    or error.code == UNTRUSTED
                ):
                    raise
                wait = jittered(self.retry_policy.base_seconds * 2.0 ** (tries - 1))
                await asyncio.sleep(max(wait, float(error.retry_after or 0)))

    async def send(self, method: str, path: str, content: Mapping[str, object]) -> object:
        """The answer to what changes something there. Asked once: it may have been heard."""
        return await self._ask(self._request(method, path, content=content), SMALL)

    def _request(
        self, method: str, path: str, query: Query = (), content: Mapping[str, object] | None = None
    ) -> httpx.Request:
        url = f"{self._base}/api/v1/{path}"
        return self._client.build_request(
            method, url, params=list(query) or None, json=None if content is None else dict(content)
        )

    async def _ask(self, request: httpx.Request, limit: int) -> object:
        if rest := self._rest_seconds():
            # No error of its own: what made it rest has been counted and stays the last one.
            sentence = "wants to be left alone for a while"
            raise Unavailable(self.name, sentence, "resting", int(rest) + 1)
        try:
            reply = await self._reply(request, limit)
            value = value_of(self.name, reply)
        except SourceError as error:
            self._went_wrong(error)
            raise
        self.stats.record_success()
        return value

    def _went_wrong(self, error: SourceError) -> None:
        self.stats.record_error(error.code, error.detail)
        wanted = error.retry_after if isinstance(error, Unavailable) else None
        if wanted is not None and wanted > self.retry_policy.longest_wait_seconds:
            rest = min(float(wanted), self.retry_policy.longest_rest_seconds)
            self._resting_until = asyncio.get_running_loop().time() + rest

    def _rest_seconds(self) -> float:
        return max(0.0, self._resting_until - asyncio.get_running_loop().time())

    async def _reply(self, request: httpx.Request, limit: int) -> Reply:
        async with self._gate:
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self.retry_policy.whole_seconds * self._slower):
                    reply = await self._exchange(request, limit)
            except (TimeoutError, httpx.TimeoutException) as error:
                raise Unavailable(self.name, "gave no answer in time", "timeout") from error
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            self.stats.record_latency(asyncio.get_running_loop().time() - started)
            return reply

    async def _exchange(self, request: httpx.Request, limit: int) -> Reply:
        response = await self._client.send(request, stream=True)
        try:
            # Asked for plain bytes: of packed ones a few could become gigabytes.
            packed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
            most = limit if response.is_success else _ERROR_BODY
            body = b"" if packed else await bounded_body(response, most)
        finally:
            await response.aclose()
        if response.is_success and packed:
            raise BadData(self.name, "packs its answers though we cannot unpack", "bad_answer")
        if response.is_success and len(body) > limit:
            raise BadData(self.name, "sends more than we asked for", "too_long")
        self.skew_seconds = _skew(response, self.skew_seconds)
        content_type = response.headers.get("Content-Type", "")
        return Reply(response.status_code, content_type, body, retry_after(response))

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            sentence = "shows a certificate that we do not trust: name its authority in ca_file"
            return Unavailable(self.name, sentence, UNTRUSTED)
        return Unavailable(self.name, "cannot be reached", "unreachable")


def _base(settings: StoreSettings) -> str:
    try:
        url = httpx.URL(settings.url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ConfigError(f"btcpay {settings.label}: url is no address of a server")
    return settings.url.rstrip("/")


def _headers(settings: StoreSettings) -> dict[str, str]:
    if not _KEY.fullmatch(settings.api_key):
        # httpx would name the header in its error.
        raise ConfigError(f"btcpay {settings.label}: the API key is empty or no single word")
    return {
        "Authorization": f"token {settings.api_key}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"raised/{__version__}",
    }


def _trust(settings: StoreSettings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except OSError as error:  # no such file, or nothing in it
        problem = f"btcpay {settings.label}: ca_file {settings.ca_file} holds no certificates"
        raise ConfigError(problem) from error


def _skew(response: httpx.Response, before: int | None) -> int | None:
    """How far the server's clock is ahead of ours, where it tells the time."""
    try:
        told = parsedate_to_datetime(response.headers.get("Date", ""))
        return int(told.timestamp()) - now()
    except (TypeError, ValueError, OverflowError):
        return before

"""Asking one host over HTTP: deadlines, body limits, retries, and nobody above knows httpx."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from raised import __version__
from raised.chain.explorer.http_status import Meaning, error_for, meaning
from raised.chain.explorer.rate_limit import TokenBucket, rate_limit_for
from raised.chain.settings import ExplorerSettings
from raised.errors import BadData, SourceError, Unavailable
from raised.net.http_client import HostStats, bounded_body, jittered, retry_after

SMALL: Final = 64 * 1024
PAGE: Final = 16 * 1024 * 1024
RAW_BLOCK: Final = 4_100_000
_ERROR_BODY: Final = 4096
_TOR_FACTOR: Final = 3.0
# An answer may come slowly, but not for ever: so many read deadlines for the whole of it.
_WHOLE_FACTOR: Final = 4.0
# The mempool backend answers plain text instead of JSON to anything narrower (docs/chain-api.md 7).
_HEADERS: Final = {
    "Accept": "application/json, text/plain, */*",
    "User-Agent": f"raised/{__version__}",
}
_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    retry_after: int | None
    powered_by: str


class ExplorerHttp:
    """One host. `base` is the path before the Esplora routes, found by the probe."""

    def __init__(
        self, settings: ExplorerSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = settings.url
        self.base = settings.url.rstrip("/")
        self.rate_limit = settings.rate_limit or rate_limit_for(settings.url)
        self.bucket = TokenBucket(self.name, self.rate_limit)
        self.stats = HostStats()
        self.powered_by = ""
        self._settings = settings
        self._asking_since: float | None = None
        self._slower = _TOR_FACTOR if _is_onion(settings) else 1.0
        self._client = httpx.AsyncClient(
            headers=_HEADERS,
            transport=transport,
            proxy=None if transport else settings.proxy,
            timeout=httpx.Timeout(
                settings.read_seconds * self._slower,
                connect=settings.connect_seconds * self._slower,
            ),
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
            trust_env=False,
        )

    @property
    def is_late(self) -> bool:
        """Whether an answer is owed for longer than a connection may take."""
        since = self._asking_since
        longest = self._settings.connect_seconds * self._slower
        return since is not None and asyncio.get_running_loop().time() - since > longest

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, limit: int = PAGE) -> bytes | None:
        """The body at this path, or None when the host says that there is no such thing.

        Raises Unavailable, Refused, or BadData when the body is larger than `limit`.
        """
        tries = 0
        while True:
            tries += 1
            try:
                reply = await self._ask(path, limit)
                what = meaning(reply.status, reply.body)
                if what in ("ok", "not_found"):
                    return self._answered(reply, what)
                raise error_for(what, self.name, _route(path), reply.retry_after)
            except SourceError as error:
                self.stats.record_error(error.code, error.detail)
                if error.code == "retry_then_not_found" and tries > 1:
                    self.bucket.on_success()
                    return None
                await self._after(error, tries)

    def _answered(self, reply: _Reply, what: Meaning) -> bytes | None:
        self.bucket.on_success()
        self.stats.record_success()
        self.powered_by = reply.powered_by
        return reply.body if what == "ok" else None

    async def _after(self, error: SourceError, tries: int) -> None:
        """Wait before another try, or raise when there shall be none."""
        if not isinstance(error, Unavailable) or error.code == "resting":
            raise error
        if error.code == "rate_limited":
            self.bucket.on_rate_limited(error.retry_after)
            raise error
        if error.code == "restart_paging":
            raise error
        if tries >= self.rate_limit.attempts:
            self.bucket.on_failure()
            raise error
        await asyncio.sleep(jittered(self.rate_limit.base_seconds * 2.0 ** (tries - 1)))

    async def _ask(self, path: str, limit: int) -> _Reply:
        await self.bucket.acquire()
        read = self._settings.block_seconds if limit == RAW_BLOCK else self._settings.read_seconds
        self._asking_since = started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(read * self._slower * _WHOLE_FACTOR):
                reply = await self._exchange(path, limit)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(self.name, "gave no answer in time", "timeout") from error
        except httpx.HTTPError as error:
            raise Unavailable(self.name, "cannot be reached", "unreachable") from error
        finally:
            self._asking_since = None
        self.stats.record_latency(asyncio.get_running_loop().time() - started)
        return reply

    async def _exchange(self, path: str, limit: int) -> _Reply:
        async with self._client.stream("GET", self.base + path) as response:
            body = await bounded_body(response, limit if response.is_success else _ERROR_BODY)
            if response.is_success and len(body) > limit:
                raise BadData(self.name, "sends more than we asked for", "too_long")
            return _Reply(
                response.status_code,
                body,
                retry_after(response),
                response.headers.get("X-Powered-By", ""),
            )


def _is_onion(settings: ExplorerSettings) -> bool:
    host = urlsplit(settings.url).hostname or ""
    return settings.proxy is not None or host.endswith(".onion")


def _route(path: str) -> str:
    """The path without what it asks for: it goes into health, and says nothing about us there."""
    return "/".join(_word(part) for part in path.partition("?")[0].split("/"))


def _word(part: str) -> str:
    if _ID.fullmatch(part):
        return ":hash"
    return ":n" if part.isdigit() else part if len(part) < 30 else ":address"

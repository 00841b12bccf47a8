"""The HTTP client of one explorer: its deadlines, its request budget and the meaning of answers."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from raised.chain.explorer.http_status import error_for, meaning
from raised.chain.explorer.rate_limit import ExplorerBudget, TokenBucket, rate_limit_for
from raised.chain.explorer.redirects import MAX_REDIRECTS, Redirect, endless, redirect_of
from raised.chain.settings import ExplorerSettings
from raised.net.http_client import (
    TOR_FACTOR,
    ClientSettings,
    Deadlines,
    HttpClient,
    HttpRequest,
    HttpResponse,
    Retries,
    Transport,
)
from raised.net.source_health import HostStats

SMALL: Final = 64 * 1024
PAGE: Final = 16 * 1024 * 1024
RAW_BLOCK: Final = 4_100_000
# An answer may come slowly, but not for ever: so many read deadlines for the whole of it.
_WHOLE_FACTOR: Final = 4.0
_CONNECTIONS: Final = 4
# The mempool backend answers plain text instead of JSON to anything narrower
# (docs/chain-api.md 7).
_HEADERS: Final = {"Accept": "application/json, text/plain, */*"}
# The host wants no requests for a while, a list must be read from its beginning, or the same
# question would keep everything else waiting once more.
_NOT_RETRYABLE: Final = frozenset({"rate_limited", "restart_paging", "timeout"})
_ID: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_WORD: Final = 30  # of a route; addresses are longer

Read = Callable[[HttpResponse], "Page | Redirect | None"]


@dataclass(frozen=True, slots=True)
class Page:
    """The body of an answer. `is_cut`: it is only the beginning."""

    body: bytes
    is_cut: bool


class ExplorerHttp:
    """Requests to one explorer.

    `base`: the address before the Esplora routes, found by the probe or named by a permanent
    redirect. `powered_by`: how the last answer named its software. `bucket`: how often the host may
    be asked.
    """

    def __init__(self, settings: ExplorerSettings, transport: Transport | None = None) -> None:
        self.name = settings.url
        self.base = settings.url.rstrip("/")
        self.rate_limit = settings.rate_limit or rate_limit_for(settings.url)
        self.bucket = TokenBucket(self.name, self.rate_limit)
        self.powered_by = ""
        self._page_bytes = settings.page_bytes
        factor = TOR_FACTOR if _is_behind_tor(settings) else 1.0
        self._connect_seconds = settings.connect_seconds * factor
        self._block_seconds = settings.block_seconds * _WHOLE_FACTOR * factor
        retries = Retries(
            self.rate_limit.attempts,
            self.rate_limit.base_seconds,
            self.rate_limit.cap_seconds,
            is_retryable=lambda error: error.code not in _NOT_RETRYABLE,
            honours_retry_after=False,  # other explorers can be asked sooner
        )
        self._client = HttpClient(
            self.name,
            _client_settings(settings, factor),
            ExplorerBudget(self.bucket),
            retries,
            transport=transport,
        )

    @property
    def stats(self) -> HostStats:
        """What the requests to this explorer did."""
        return self._client.stats

    @property
    def is_late(self) -> bool:
        """Whether an answer takes longer than a connection may take."""
        return self._client.waiting_seconds > self._connect_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, path: str, limit: int = PAGE) -> bytes | None:
        """The body at this path, or None when the host says that there is no such thing.

        Raises Unavailable, Refused, or BadData when the body is longer than `limit` bytes.
        """
        page = await self._get(path, limit, cuts=False)
        return None if page is None else page.body

    async def get_page(self, path: str) -> Page | None:
        """The body at this path, or as much of it as is read of one page; else as `get`."""
        return await self._get(path, self._page_bytes, cuts=True)

    async def _get(self, path: str, limit: int, *, cuts: bool) -> Page | None:
        whole = self._block_seconds if limit == RAW_BLOCK else None
        url = self.base + path
        for _ in range(MAX_REDIRECTS + 1):
            request = HttpRequest(url, limit=limit, cuts=cuts, whole_seconds=whole)
            answer = await self._client.get(request, self._reader(url, path))
            if not isinstance(answer, Redirect):
                return answer
            url = answer.url
            if answer.permanent and url.endswith(path):
                self.base = url.removesuffix(path)
        error = endless(self.name)
        self.stats.record_error(error.code, error.detail)
        raise error

    def _reader(self, url: str, path: str) -> Read:
        """Reads the answers to one question. What is not to be found twice does not exist."""
        not_found_before = False

        def read(response: HttpResponse) -> Page | Redirect | None:
            nonlocal not_found_before
            if redirect := redirect_of(self.name, url, response):
                return redirect
            kind = meaning(response.status, response.body)
            if kind == "retry_then_not_found":
                kind = "not_found" if not_found_before else kind
                not_found_before = True
            if kind not in ("ok", "not_found"):
                raise error_for(kind, self.name, _route(path), response)
            self.powered_by = response.headers.get("x-powered-by", "")
            return Page(response.body, response.is_cut) if kind == "ok" else None

        return read


def _client_settings(settings: ExplorerSettings, factor: float) -> ClientSettings:
    whole = settings.read_seconds * _WHOLE_FACTOR
    deadlines = Deadlines(settings.connect_seconds, settings.read_seconds, whole)
    return ClientSettings(
        deadlines.times(factor), _CONNECTIONS, headers=_HEADERS, proxy=settings.proxy
    )


def _is_behind_tor(settings: ExplorerSettings) -> bool:
    host = urlsplit(settings.url).hostname or ""
    return settings.proxy is not None or host.endswith(".onion")


def _route(path: str) -> str:
    """The path without what it asks for: health shows it, and must not show what we look for."""
    return "/".join(_placeholder(part) for part in path.partition("?")[0].split("/"))


def _placeholder(part: str) -> str:
    if _ID.fullmatch(part):
        return ":hash"
    return ":n" if part.isdigit() else part if len(part) < _LONGEST_WORD else ":address"

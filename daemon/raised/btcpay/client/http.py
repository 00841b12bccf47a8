"""The HTTP client of one BTCPay Server: its deadlines, its API key and the meaning of answers.

Only ever the configured address is asked, with one header that is a secret: it is in no error, no
log and no representation.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from raised.btcpay.client.http_status import QuestionFailed, value_of
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.settings import StoreSettings
from raised.clock import now
from raised.errors import ConfigError, SourceError, Unavailable
from raised.net.backoff import loop_time
from raised.net.http_client import (
    RESTING,
    TOR_FACTOR,
    UNTRUSTED,
    ClientSettings,
    Deadlines,
    HttpClient,
    HttpRequest,
    HttpResponse,
    Query,
    Retries,
    Transport,
    authorities_of,
    is_http_url,
)
from raised.net.source_health import HostStats

SMALL: Final = 256 * 1024
PAGE: Final = 16 * 1024 * 1024
# More than a server takes in one request (Kestrel: 30 MB), so every invoice fits.
ONE_INVOICE: Final = 32 * 1024 * 1024
WHOLE_LIST: Final = 32 * 1024 * 1024  # of what has no pages
WITH_PAYMENT_METHODS: Final = (("includePaymentMethods", "true"),)  # 2.3.6+, of one invoice 2.4.1+
IN_FLIGHT: Final = 2  # requests to one server at a time (docs/btcpay.md 9.4)
_UNTRUSTED_HINT: Final = "shows a certificate that is not trusted: name its authority in ca_file"
_KEY: Final = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long we wait for an answer, and how trouble slows us down (docs/btcpay.md 9.5).

    A server that wants to be left alone for more than `longest_wait_seconds` is, by everybody, for
    at most `longest_rest_seconds`, unless it still answers the check: then only whoever asked the
    question waits. `page_seconds`: between two pages of a list.
    """

    attempts: int = 5
    base_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    longest_rest_seconds: float = 3600.0
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    whole_seconds: float = 120.0
    page_seconds: float = 1.0


class _Budget:
    """A few requests at a time, and none while the server wants to be left alone."""

    def __init__(self, name: str, request_slots: asyncio.Semaphore, policy: RetryPolicy) -> None:
        self._name = name
        self._request_slots = request_slots
        self._policy = policy
        self._resting_until: float | None = None

    @property
    def rest_seconds(self) -> float:
        return 0.0 if self._resting_until is None else max(0.0, self._resting_until - loop_time())

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        if rest := self.rest_seconds:
            sentence = "wants to be left alone for a while"
            raise Unavailable(self._name, sentence, RESTING, int(rest) + 1)
        async with self._request_slots:
            yield

    def on_success(self) -> None:
        """Other requests may still be under way, so an answer does not end a pause."""

    def on_error(self, error: SourceError) -> None:
        """Whether one error is the whole server's is for the check to say."""

    def rest(self, seconds: float) -> None:
        """Leave the server alone for so long."""
        self._resting_until = loop_time() + min(seconds, self._policy.longest_rest_seconds)

    def on_give_up(self) -> None:
        """Whoever asked waits before asking again; the others may go on."""


class GreenfieldHttp:
    """Requests to the server of one store.

    `request_slots` bounds the requests under way to a server: its stores share it.
    `skew_seconds`: how far the server's clock is ahead of ours; None where it tells no time.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        transport: Transport | None = None,
        request_slots: asyncio.Semaphore | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self.name = settings.label
        self.retry_policy = policy = retry_policy or RetryPolicy()
        self.skew_seconds: int | None = None
        self._base = _checked_url(settings)
        self._check = _check_request(self._base, settings.store_id)
        self._budget = _Budget(self.name, request_slots or asyncio.Semaphore(IN_FLIGHT), policy)
        retries = Retries(
            policy.attempts,
            policy.base_seconds,
            policy.longest_wait_seconds,
            is_retryable=self._is_retryable,
            honours_retry_after=True,
        )
        self._client = HttpClient(
            self.name,
            _client_settings(settings, policy),
            self._budget,
            retries,
            transport=transport,
        )

    @property
    def stats(self) -> HostStats:
        """What the requests to this server did."""
        return self._client.stats

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, path: str, query: Query = (), limit: int = PAGE) -> object:
        """The JSON value at this path; tried again while the server is busy or away.

        Raises Unavailable, Refused, or BadData when it is wrong or longer than `limit` bytes.
        """
        request = HttpRequest(f"{self._base}/api/v1/{path}", query=query, limit=limit)
        try:
            return await self._client.get(request, self._read)
        except Unavailable as error:
            await self._rest_if_wanted(error)
            raise

    async def check(self) -> object:
        """The answer to a question that no invoice can spoil: a list of no invoices at all.

        Raises as `get` does.
        """
        try:
            return await self._client.get(self._check, self._read)
        except Unavailable as error:
            if self._wants_rest(error):
                self._budget.rest(float(error.retry_after or 0))
            raise

    async def _rest_if_wanted(self, error: Unavailable) -> None:
        """Leave the server alone as it wishes, unless it still answers the check, asked once."""
        if not self._wants_rest(error):
            return
        try:
            await self._client.send(self._check, self._read)
        except SourceError:
            self._budget.rest(float(error.retry_after or 0))

    def _wants_rest(self, error: Unavailable) -> bool:
        wanted = error.retry_after or 0
        return error.code != RESTING and wanted > self.retry_policy.longest_wait_seconds

    async def send(self, method: str, path: str, content: Mapping[str, object]) -> object:
        """The answer to what changes something there. Sent once: it may have had its effect."""
        url = f"{self._base}/api/v1/{path}"
        request = HttpRequest(url, method=method, json=content, limit=SMALL)
        return await self._client.send(request, self._read)

    def _read(self, response: HttpResponse) -> object:
        self.skew_seconds = _skew(response, self.skew_seconds)
        return value_of(self.name, response)

    def _is_retryable(self, error: Unavailable) -> bool:
        """Not after a timeout either: the question may be what takes so long."""
        if isinstance(error, QuestionFailed) or error.code in (UNTRUSTED, "timeout"):
            return False
        return not self._wants_rest(error) and not self._budget.rest_seconds


def _checked_url(settings: StoreSettings) -> str:
    if not is_http_url(settings.url):
        raise ConfigError(f"btcpay {settings.label}: url is no address of a server")
    return settings.url.rstrip("/")


def _check_request(base: str, store_id: str) -> HttpRequest:
    """Asks for the one invoice that was created by 1970: for none."""
    query = (*InvoicePage(end=0, take=1).query, *WITH_PAYMENT_METHODS)
    url = f"{base}/api/v1/stores/{quote(store_id, safe='')}/invoices"
    return HttpRequest(url, query=query, limit=ONE_INVOICE)


def _client_settings(settings: StoreSettings, policy: RetryPolicy) -> ClientSettings:
    deadlines = Deadlines(policy.connect_seconds, policy.read_seconds, policy.whole_seconds)
    return ClientSettings(
        deadlines.times(TOR_FACTOR if settings.proxy else 1.0),
        IN_FLIGHT,
        headers=_headers(settings),
        proxy=settings.proxy,
        verify=_authorities(settings),
        accepts_compressed=False,
        untrusted_hint=_UNTRUSTED_HINT,
    )


def _headers(settings: StoreSettings) -> dict[str, str]:
    if not _KEY.fullmatch(settings.api_key):
        # The HTTP library would quote the header in its error.
        raise ConfigError(f"btcpay {settings.label}: the API key is empty or no single word")
    return {"Authorization": f"token {settings.api_key}", "Accept": "application/json"}


def _authorities(settings: StoreSettings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    try:
        return authorities_of(settings.ca_file)
    except OSError as error:  # no such file, or nothing in it
        problem = f"btcpay {settings.label}: ca_file {settings.ca_file} holds no certificates"
        raise ConfigError(problem) from error


def _skew(response: HttpResponse, before: int | None) -> int | None:
    """How far the server's clock is ahead of ours, where it tells the time."""
    try:
        server_time = parsedate_to_datetime(response.headers.get("date", ""))
        return int(server_time.timestamp()) - now()
    except (TypeError, ValueError, OverflowError):
        return before

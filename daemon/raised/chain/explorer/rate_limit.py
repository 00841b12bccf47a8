"""How often one explorer may be asked: a token bucket, pauses after trouble, a count of the day."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from raised.chain.settings import RateLimit
from raised.clock import now
from raised.errors import SourceError, Unavailable
from raised.net.backoff import backoff_seconds, growing_pause, loop_time
from raised.net.http_client import RESTING

_DAY_SECONDS: Final = 86_400
_SLOWEST: Final = 4.0  # a block takes three requests, and must not come a minute late
_RATE_LIMITED: Final = "rate_limited"
_PUBLIC: Final = RateLimit()
_OWN: Final = RateLimit(per_second=50.0, burst=100)
# Its ceiling without a key is 700 requests an hour (docs/chain-api.md 2).
_BLOCKSTREAM: Final = RateLimit(per_second=0.15, burst=20)


def rate_limit_for(url: str) -> RateLimit:
    """The limit for a host when the configuration sets none: machines of our own get a high one."""
    host = urlsplit(url).hostname or ""
    if host == "blockstream.info":
        return _BLOCKSTREAM
    if host == "localhost" or host.endswith(".local"):
        return _OWN
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _PUBLIC
    return _OWN if address.is_loopback or address.is_private else _PUBLIC


class TokenBucket:
    """The requests that one host still allows.

    Each request takes a token; time makes new ones. After trouble the host is left alone for a
    while, longer each time. `clock` gives monotonic seconds, by default the event loop's.
    """

    def __init__(
        self,
        host: str,
        rate_limit: RateLimit,
        clock: Callable[[], float] = loop_time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._host = host
        self._rate_limit = rate_limit
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(rate_limit.burst)
        self._filled_at: float | None = None
        self._resting_until: float | None = None
        self._failures = 0
        self._rate_limited = 0  # answers 429 in a row
        self._slowness = 1.0  # how many times fewer requests than usual, until then
        self._slow_until = float("-inf")
        self._day = now() // _DAY_SECONDS
        self._requests = 0

    @property
    def requests_today(self) -> int:
        """Requests since midnight UTC."""
        self._turn_day()
        return self._requests

    @property
    def rest_seconds(self) -> float:
        """How long the host is still left alone; 0 when it may be asked."""
        return 0.0 if self._resting_until is None else max(0.0, self._resting_until - self._clock())

    async def acquire(self) -> None:
        """Wait for a token and take it. Raises Unavailable at once while the host rests."""
        if rest := self.rest_seconds:
            raise Unavailable(self._host, "resting after trouble", RESTING, int(rest) + 1)
        while (wait := self._refill()) > 0:
            await self._sleep(wait)
        self._tokens -= 1
        self._turn_day()
        self._requests += 1

    def available(self) -> int:
        """How many requests could go out now without waiting."""
        self._refill()
        return 0 if self.rest_seconds else int(self._tokens)

    def on_success(self) -> None:
        """The host answered: the next trouble is a first one."""
        self._failures = self._rate_limited = 0
        self._resting_until = None

    def on_give_up(self) -> None:
        """A request failed with all its tries: leave the host alone, longer each time."""
        limit = self._rate_limit
        self._rest(backoff_seconds(limit.base_seconds, limit.cap_seconds, self._failures))
        self._failures += 1

    def on_rate_limited(self, retry_after: int | None) -> None:
        """The host said that we ask too often: stop entirely, longer each time."""
        longest = self._rate_limit.longest_rest_seconds
        pause = growing_pause(self._rate_limit.rest_seconds, longest, self._rate_limited)
        self._rate_limited += 1
        self._rest(max(pause, min(longest, float(retry_after or 0))))

    def slow_down(self, retry_after: int | None) -> None:
        """The host said so of one question: pause, then ask less often and without a burst."""
        seconds = max(self._rate_limit.rest_seconds, float(retry_after or 0))
        self._slowness = min(_SLOWEST, 2 * self._slowness)
        self._slow_until = self._clock() + min(self._rate_limit.longest_rest_seconds, seconds)
        self._tokens = min(1.0, self._tokens)
        self._rest(self._rate_limit.base_seconds)

    def _rest(self, seconds: float) -> None:
        self._resting_until = self._clock() + max(self.rest_seconds, seconds)

    def _refill(self) -> float:
        """Fill the bucket; the seconds until there is a token in it."""
        time = self._clock()
        if time >= self._slow_until:
            self._slowness = 1.0
        per_second = self._rate_limit.per_second / self._slowness
        since = 0.0 if self._filled_at is None else time - self._filled_at
        self._filled_at = time
        self._tokens = min(float(self._rate_limit.burst), self._tokens + since * per_second)
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / per_second

    def _turn_day(self) -> None:
        day = now() // _DAY_SECONDS
        if day != self._day:
            self._day, self._requests = day, 0


class ExplorerBudget:
    """What the answers of an explorer mean for asking it again (`RequestBudget` of its client).

    A 429 may be about its question alone: anybody can make an address that is costly to answer for.
    It slows us down. Only when the next question gets a 429, too, and none was answered in between,
    the host is left alone for as long as rate limits last.
    """

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self._refused = 0  # questions in a row

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Take a token for one request."""
        await self._bucket.acquire()
        yield

    def on_success(self) -> None:
        """The host answered a question."""
        self._refused = 0
        self._bucket.on_success()

    def on_error(self, error: SourceError) -> None:
        """One request failed; only a host that asks for fewer requests gets fewer for that."""
        if error.code != _RATE_LIMITED:
            return
        self._refused += 1
        retry_after = error.retry_after if isinstance(error, Unavailable) else None
        if self._refused > 1:
            self._bucket.on_rate_limited(retry_after)
        else:
            self._bucket.slow_down(retry_after)

    def on_give_up(self) -> None:
        """A request failed with all its tries: leave the host alone, longer each time."""
        self._bucket.on_give_up()

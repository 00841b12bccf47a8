"""How often one host may be asked: a token bucket, rests after trouble, and a count of the day."""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from raised.chain.settings import RateLimit
from raised.clock import now
from raised.errors import Unavailable
from raised.net.http_client import jittered

_DAY_SECONDS: Final = 86_400
_PUBLIC: Final = RateLimit()
_OWN: Final = RateLimit(per_second=50.0, burst=100)
# Its ceiling without a key is 700 an hour (docs/chain-api.md 2).
_HOURLY: Final = RateLimit(per_second=0.15, burst=20)


def rate_limit_for(url: str) -> RateLimit:
    """The pace a host is asked at when nobody says otherwise: our own machines may be hurried."""
    host = urlsplit(url).hostname or ""
    if host == "blockstream.info":
        return _HOURLY
    if host == "localhost" or host.endswith(".local"):
        return _OWN
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _PUBLIC
    return _OWN if address.is_loopback or address.is_private else _PUBLIC


class TokenBucket:
    """What one host still has to give. `clock` is the event loop's, in seconds."""

    def __init__(
        self, host: str, rate_limit: RateLimit, clock: Callable[[], float] | None = None
    ) -> None:
        self._host = host
        self._rate_limit = rate_limit
        self._clock = clock
        self._tokens = float(rate_limit.burst)
        self._filled_at: float | None = None
        self._resting_until = 0.0
        self._troubles = 0
        self._limits = 0
        self._day = now() // _DAY_SECONDS
        self._requests = 0

    @property
    def requests_today(self) -> int:
        """Requests since midnight UTC."""
        self._turn_day()
        return self._requests

    @property
    def rest_seconds(self) -> float:
        """How long the host still rests; 0 when it may be asked."""
        return max(0.0, self._resting_until - self._time())

    async def acquire(self) -> None:
        """Wait for a token and take it. Raises Unavailable at once while the host rests."""
        if rest := self.rest_seconds:
            raise Unavailable(self._host, "resting after trouble", "resting", int(rest) + 1)
        while (wait := self._refill()) > 0:  # noqa: ASYNC110 - time alone makes tokens
            await asyncio.sleep(wait)
        self._tokens -= 1
        self._turn_day()
        self._requests += 1

    def available(self) -> int:
        """How many requests could go out now without waiting."""
        self._refill()
        return 0 if self.rest_seconds else int(self._tokens)

    def on_success(self) -> None:
        """The host answered: trouble is over."""
        self._troubles = self._limits = 0
        self._resting_until = 0.0

    def on_failure(self) -> None:
        """The host did not answer: rest, longer each time, never two clients in step."""
        ceiling = min(
            self._rate_limit.cap_seconds, self._rate_limit.base_seconds * 2.0**self._troubles
        )
        self._troubles = min(self._troubles + 1, 32)
        self._rest(jittered(ceiling))

    def on_rate_limited(self, retry_after: int | None) -> None:
        """The host said we ask too much: stop entirely, longer each time."""
        longest = self._rate_limit.longest_rest_seconds
        rest = min(longest, self._rate_limit.rest_seconds * 2.0**self._limits)
        self._limits = min(self._limits + 1, 32)
        self._rest(max(rest, min(longest, float(retry_after or 0))))

    def _rest(self, seconds: float) -> None:
        self._resting_until = max(self._resting_until, self._time() + seconds)

    def _time(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    def _refill(self) -> float:
        """Fill the bucket; the seconds until there is a token in it."""
        time = self._time()
        since = 0.0 if self._filled_at is None else time - self._filled_at
        self._filled_at = time
        self._tokens = min(
            float(self._rate_limit.burst), self._tokens + since * self._rate_limit.per_second
        )
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate_limit.per_second

    def _turn_day(self) -> None:
        day = now() // _DAY_SECONDS
        if day != self._day:
            self._day, self._requests = day, 0

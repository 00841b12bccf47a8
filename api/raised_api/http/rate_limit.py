"""How often a caller may ask: so many requests in each minute of the clock."""

from typing import Final, NamedTuple

_WINDOW_SECONDS: Final = 60


class Quota(NamedTuple):
    """What a request leaves of its caller's quota. `reset_seconds`: until the next window."""

    limit: int
    remaining: int
    reset_seconds: int
    is_allowed: bool


class RateLimiter:
    """Counts requests by caller. All counts are dropped when the minute ends, so what is held is
    bounded by the callers of one minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._window = -1
        self._counts: dict[str, int] = {}

    def count(self, caller: str, now: int) -> Quota:
        """Count a request of this caller."""
        window = now // _WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts.clear()
        count = self._counts.get(caller, 0) + 1
        self._counts[caller] = count
        remaining = max(0, self._per_minute - count)
        reset_seconds = _WINDOW_SECONDS - now % _WINDOW_SECONDS
        return Quota(self._per_minute, remaining, reset_seconds, count <= self._per_minute)

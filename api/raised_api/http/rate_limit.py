"""How often an address may ask: so many times a minute of the clock."""

from dataclasses import dataclass

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """What one more question leaves. `reset_seconds`: until all is given back."""

    is_allowed: bool
    remaining: int
    reset_seconds: int


class RateLimiter:
    """Counts questions by address, and forgets all of them each minute."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._minute = -1
        self._counts: dict[str, int] = {}

    def take(self, address: str, now: int) -> Quota:
        """Count a question of this address."""
        minute = now // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(address, 0) + 1
        self._counts[address] = count
        remaining = max(0, self.per_minute - count)
        return Quota(count <= self.per_minute, remaining, _MINUTE - now % _MINUTE)

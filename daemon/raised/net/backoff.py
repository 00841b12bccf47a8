"""How long to wait before asking again: doubled each time, capped, jittered."""

import asyncio
import random


def backoff_seconds(first: float, most: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    wait: float = min(most, first * 2 ** min(failures, 20))
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


class Backoff:
    """Failures in a row of one thing, and when it is due again, by the event loop's clock."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._failures = 0
        self.due_at = float("-inf")

    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return asyncio.get_running_loop().time() >= self.due_at

    def on_failure(self, at_least: float = 0.0) -> None:
        """It did not work; the other side may have said when to come again."""
        wait = max(at_least, backoff_seconds(self._first, self._most, self._failures))
        self.due_at = asyncio.get_running_loop().time() + wait
        self._failures += 1

    def on_success(self, seconds: float = 0.0) -> None:
        """It went well: due again after this time."""
        self._failures = 0
        self.due_at = asyncio.get_running_loop().time() + seconds

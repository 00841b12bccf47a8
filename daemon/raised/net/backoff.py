"""How long to wait before trying again: doubled after each failure in a row, capped, with jitter.

Everything that waits after trouble takes its pauses from here: requests that are tried again,
hosts that are left alone, connections and subscriptions that are made again.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

_MOST_DOUBLINGS: Final = 32  # more would overflow a float long after every cap is reached
_LEAST_PART: Final = 0.1


def growing_pause(first: float, longest: float, failures: int) -> float:
    """Seconds to wait after the next failure, when there were so many in a row before it.

    `first` seconds for the first failure, twice as many for each one after it, at most `longest`.
    """
    return min(longest, first * 2.0 ** min(failures, _MOST_DOUBLINGS))


def jittered(seconds: float) -> float:
    """Full jitter: a tenth of the pause up to all of it, so that clients do not come together."""
    return random.uniform(seconds * _LEAST_PART, seconds)  # noqa: S311 - spreads load, hides nothing


def backoff_seconds(first: float, longest: float, failures: int) -> float:
    """The pause that grows with the failures in a row before this one, with jitter."""
    return jittered(growing_pause(first, longest, failures))


def loop_time() -> float:
    """Seconds of the running event loop's clock, which never goes back."""
    return asyncio.get_running_loop().time()


class Backoff:
    """The failures in a row of one thing, and from when on it may be tried again.

    `first` and `longest` are the pauses in seconds after the first failure and after many.
    `clock` gives monotonic seconds, by default the event loop's; `due_at` is in its time.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        clock: Callable[[], float] = loop_time,
        jitter: Callable[[float], float] = jittered,
    ) -> None:
        self._first = first
        self._longest = longest
        self._clock = clock
        self._jitter = jitter
        self.failures = 0
        self.due_at = float("-inf")

    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return self._clock() >= self.due_at

    def on_failure(self, at_least: float = 0.0) -> float:
        """Count a failure; the seconds to wait, no fewer than the other side asked for."""
        pause = self._jitter(growing_pause(self._first, self._longest, self.failures))
        pause = max(at_least, pause)
        self.failures += 1
        self.due_at = self._clock() + pause
        return pause

    def on_success(self, pause: float = 0.0) -> None:
        """Forget the failures; it is due again after this pause in seconds."""
        self.failures = 0
        self.due_at = self._clock() + pause

"""How long to wait for what. Tests wait for milliseconds."""

import asyncio
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses in seconds.

    `poll`: between two looks at the inbox. `wake`: the least between two of them, however often
    the record commits. `echo`: an invoice is fetched again so long after its last event, because
    an answer may be older than the event. `page`: from one page of a bulk read to the next.
    `rest`: between two months of a store too large to be read at once. `first` and `most`: the
    waits after failures. `locked_out`: before a key that was refused is tried again. `look`:
    between two looks at the server itself. `health`: moved figures are told so often at most.
    """

    poll: float = 1.0
    wake: float = 0.2
    echo: float = 60.0
    page: float = 1.0
    rest: float = 3600.0
    first: float = 2.0
    most: float = 300.0
    locked_out: float = 300.0
    look: float = 300.0
    health: float = 30.0


def growing(first: float, most: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, capped, jittered."""
    wait: float = min(most, first * 2 ** min(failures, 20))
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


class Patience:
    """Failures in a row of one thing, and when it is due again, by the event loop's clock."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._failures = 0
        self.due_at = float("-inf")

    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return asyncio.get_running_loop().time() >= self.due_at

    def failed(self, at_least: float = 0.0) -> None:
        """It did not work; the server may have said when to come again."""
        wait = max(at_least, growing(self._first, self._most, self._failures))
        self.due_at = asyncio.get_running_loop().time() + wait
        self._failures += 1

    def worked(self) -> None:
        """It worked: due at once."""
        self._failures = 0
        self.due_at = float("-inf")

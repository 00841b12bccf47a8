"""An event loop whose time jumps to the next timer: minutes of pauses pass at once.

For code without real input and output, which the loop would not wait for.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SimulatedTimeLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while anything can run, and jumps when all wait."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__()

    def time(self) -> float:
        """Seconds since it was made."""
        return self._seconds

    def _run_once(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        waiting = [timer.when() for timer in timers if not timer.cancelled()]
        if waiting and not self._ready:  # type: ignore[attr-defined]
            self._seconds = max(self._seconds, min(waiting))
        super()._run_once()  # type: ignore[misc]


def run_in_simulated_time(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end in a loop of its own."""
    with asyncio.Runner(loop_factory=SimulatedTimeLoop) as runner:
        return runner.run(work)

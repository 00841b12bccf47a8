"""Minutes that take no time: an event loop whose clock jumps to the next timer when all rests."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code that waits for timers and threads alone, never for the network."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0.0
        self._threads = 0

    def time(self) -> float:
        """Real seconds and those that were skipped."""
        return super().time() + self._skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run in a thread, during which no time is skipped."""
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._on_thread_end)
        return future

    def _on_thread_end(self, _: "asyncio.Future[Any]") -> None:
        self._threads -= 1

    def _run_once(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        is_idle = not self._ready and not self._threads  # type: ignore[attr-defined]
        if is_idle and timers:
            self._skipped += max(0.0, timers[0].when() - self.time())
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)

"""Decides when which sweep runs: one page at a time, so never two sweeps of a store at once.

Between the pages of a full sweep the shorter sweeps run. A sweep that fails ends, shows in the
store's health and is run again.
"""

import asyncio
import contextlib
from typing import Final, Never

from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.publisher import StoreContext
from raised.btcpay.settings import StoreTiming
from raised.btcpay.sweeps import SweepRunner
from raised.domain.observation import Sweep
from raised.errors import SourceError, Unavailable
from raised.net.backoff import Backoff

_DAY: Final = 86_400
# Recent invoices first: what their list shows, the other sweeps need not fetch one by one.
_PRIORITY: Final[tuple[Sweep, ...]] = ("recent", "active", "late", "full")


class SweepScheduler:
    """`follow` runs the requested sweeps; the other methods may be called at any time."""

    def __init__(self, context: StoreContext, sweeps: SweepRunner, timing: StoreTiming) -> None:
        self._context = context
        self._sweeps = sweeps
        self._backoff = Backoff(timing.first_retry, timing.longest_retry)
        self._requested: dict[Sweep, asyncio.Event] = {}  # set when the sweep ended or failed
        self._work_available = asyncio.Event()
        self._stopped = False

    def request(self, kind: Sweep) -> asyncio.Event:
        """Run this sweep soon; the event is set when it has ended or failed."""
        self._work_available.set()
        return self._requested.setdefault(kind, asyncio.Event())

    async def sweep(self, kind: Sweep) -> None:
        """Run this sweep and wait for its end.

        Does not wait while the store cannot be asked, nor for more than a month of a large store.
        """
        ended = self.request(kind)
        can_run = self._context.health.key_accepted.is_set() and self._backoff.is_due()
        if can_run and not self._stopped:
            await ended.wait()

    async def follow(self) -> Never:
        """Run requested sweeps for ever. Cancelled, a full sweep resumes at the next start."""
        try:
            await self._context.health.key_accepted.wait()
            await self._request_missed()
            while True:
                await self._run(await self._next_due())
        finally:
            self._stopped = True
            self._release_waiters()

    async def _request_missed(self) -> None:
        """Request what was missed since the last run: at the first start that is everything."""
        context = self._context
        swept_at = await context.record.swept_at(context.label)
        if swept_at is None:
            self.request("full")
            return
        self._sweeps.covered_until = swept_at
        for kind in ("recent", "active", "late"):
            self.request(kind)
        overdue = context.clock() - swept_at >= _DAY
        if overdue or await context.record.interrupted_sweep(context.label) is not None:
            self.request("full")

    async def _next_due(self) -> Sweep:
        """The sweep that is due; waits for one."""
        time = asyncio.get_running_loop().time
        while True:
            await self._context.health.key_accepted.wait()
            # Cleared before the look, so that a request made during it is not lost.
            self._work_available.clear()
            due = {kind: self._due_at(kind) for kind in _PRIORITY if kind in self._requested}
            for kind, due_at in due.items():
                if due_at <= time():
                    return kind
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(due.values(), default=None)):
                    await self._work_available.wait()

    def _due_at(self, kind: Sweep) -> float:
        next_page_at = self._sweeps.next_page_at if kind == "full" else float("-inf")
        return max(self._backoff.due_at, next_page_at)

    async def _run(self, kind: Sweep) -> None:
        # A short sweep that is requested while one runs is run again, since the running one may
        # have passed what it is to find. A full sweep in progress serves both requests.
        ended = self._requested[kind] if kind == "full" else self._requested.pop(kind)
        try:
            result = await self._sweeps.run(kind)
        except SourceError as error:
            self._on_failure(error)
            self.request(kind)
            ended.set()
            return
        except asyncio.CancelledError:
            ended.set()
            raise
        self._backoff.on_success()
        self._context.health.request_succeeded("sweep")
        if result == "done":
            ended.set()
            if kind == "full":
                del self._requested[kind]
                self.request("recent")  # what was created while it ran
        elif result == "paused":
            # Whoever waits is released; the rest of the sweep stays requested.
            ended.set()
            self._requested[kind] = asyncio.Event()

    def _on_failure(self, error: SourceError) -> None:
        self._context.health.request_failed(error, "sweep")
        # After a refusal nothing runs until the key is accepted, so no backoff is needed.
        if error.code not in LOCKED_OUT:
            retry_after = error.retry_after if isinstance(error, Unavailable) else None
            self._backoff.on_failure(retry_after or 0)
        self._release_waiters()

    def _release_waiters(self) -> None:
        """Nobody is to wait for a server that may be away for days. Requests stay requested."""
        for kind, ended in list(self._requested.items()):
            ended.set()
            self._requested[kind] = asyncio.Event()

"""Decides when which sweep runs: one page at a time, so never two sweeps of a store at once.

Between the pages of a full sweep the shorter sweeps run. A sweep that fails shows in the store's
health and is run again after a pause of its own, while the others go on; only a server that answers
nothing delays them all (docs/containment.md).
"""

import asyncio
import contextlib
from typing import Final, Never

from raised.btcpay.blame import is_server_at_fault, wanted_wait
from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.publisher import StoreContext
from raised.btcpay.settings import StoreTiming
from raised.btcpay.sweeps import SweepKind, SweepRunner
from raised.domain.observation import Sweep
from raised.errors import SourceError
from raised.net.backoff import Backoff

_DAY: Final = 86_400
# Recent invoices first: what their list shows, the other sweeps need not fetch one by one.
_PRIORITY: Final[tuple[SweepKind, ...]] = ("recent", "refunds", "active", "late", "full")


class SweepScheduler:
    """`follow` runs the requested sweeps; the other methods may be called at any time."""

    def __init__(self, context: StoreContext, sweeps: SweepRunner, timing: StoreTiming) -> None:
        self._context = context
        self._sweeps = sweeps
        first, longest = timing.first_retry, timing.longest_retry
        self._backoff = Backoff(first, longest)  # of the server
        self._backoffs = {kind: Backoff(first, longest) for kind in _PRIORITY}
        self._again = Backoff(4 * timing.check_interval, _DAY)
        self._again_is_planned = False
        self._requested: dict[SweepKind, asyncio.Event] = {}  # set when the sweep ended or failed
        self._work_available = asyncio.Event()
        self._stopped = False

    def request(self, kind: SweepKind) -> asyncio.Event:
        """Run this sweep soon, with a recent one the refunds; set when it has ended or failed."""
        self._work_available.set()
        if kind == "recent":
            self._requested.setdefault("refunds", asyncio.Event())
        return self._requested.setdefault(kind, asyncio.Event())

    async def sweep(self, kind: Sweep) -> None:
        """Run this sweep, with a recent one the refunds, and wait for its end.

        Does not wait while the store cannot be asked, nor for more than a month of a large store.
        """
        self.request(kind)
        parts: tuple[SweepKind, ...] = ("recent", "refunds") if kind == "recent" else (kind,)
        for ended in [self._requested[part] for part in parts if self._can_run(part)]:
            await ended.wait()

    def _can_run(self, kind: SweepKind) -> bool:
        is_due = self._backoff.is_due() and self._backoffs[kind].is_due()
        return is_due and self._context.health.key_accepted.is_set() and not self._stopped

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
        self._sweeps.covered_until, self._sweeps.has_full = swept_at, True
        for kind in ("recent", "active", "late"):
            self.request(kind)
        overdue = context.clock() - swept_at >= _DAY
        if overdue or await context.record.interrupted_sweep(context.label) is not None:
            self.request("full")

    async def _next_due(self) -> SweepKind:
        """The sweep that is due; waits for one."""
        time = asyncio.get_running_loop().time
        while True:
            await self._context.health.key_accepted.wait()
            # Cleared before the look, so that a request made during it is not lost.
            self._work_available.clear()
            if self._again_is_planned and self._again.is_due():
                self._again_is_planned = False
                self.request("full")
            due: dict[SweepKind, float] = {
                kind: self._due_at(kind) for kind in _PRIORITY if kind in self._requested
            }
            for kind, due_at in due.items():
                if due_at <= time():
                    return kind
            again = [self._again.due_at] if self._again_is_planned else []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min([*due.values(), *again], default=None)):
                    await self._work_available.wait()

    def _due_at(self, kind: SweepKind) -> float:
        next_page_at = self._sweeps.next_page_at if kind == "full" else float("-inf")
        return max(self._backoff.due_at, self._backoffs[kind].due_at, next_page_at)

    async def _run(self, kind: SweepKind) -> None:
        # A short sweep that is requested while one runs is run again, since the running one may
        # have passed what it is to find. A full sweep in progress serves both requests.
        ended = self._requested[kind] if kind == "full" else self._requested.pop(kind)
        try:
            result = await self._sweeps.run(kind)
        except SourceError as error:
            self._requested.setdefault(kind, asyncio.Event())
            await self._on_failure(kind, error)
            ended.set()
            return
        except asyncio.CancelledError:
            ended.set()
            raise
        self._backoff.on_success()
        self._backoffs[kind].on_success()
        health = self._context.health
        health.request_succeeded("sweep")
        health.list_read(self._sweeps.reading(kind))
        if result == "done":
            ended.set()
            if kind == "full":
                del self._requested[kind]
                self.request("recent")  # what was created while it ran
                self._plan_again(is_needed=self._sweeps.has_left_out)
        elif result == "paused":
            # Whoever waits is released; the rest of the sweep stays requested.
            ended.set()
            self._requested[kind] = asyncio.Event()

    def _plan_again(self, *, is_needed: bool) -> None:
        """Only another full sweep finds an invoice that nothing could name."""
        if is_needed:
            self._again.on_failure()
        else:
            self._again.on_success()
        self._again_is_planned = is_needed

    async def _on_failure(self, kind: SweepKind, error: SourceError) -> None:
        context = self._context
        is_servers = await is_server_at_fault(context.server, error)
        # In both cases: a server that only seems to recover is to read the other lists first.
        self._backoffs[kind].on_failure(0 if is_servers else wanted_wait(error))
        if not is_servers:
            context.health.list_failed(self._sweeps.reading(kind), error)
            await self._sweeps.on_failure(kind)
            return
        context.health.request_failed(error, "sweep")
        # After a refusal nothing runs until the key is accepted, so no backoff is needed.
        if error.code not in LOCKED_OUT:
            self._backoff.on_failure(wanted_wait(error))
        self._release_waiters()

    def _release_waiters(self) -> None:
        """Nobody is to wait for a server that may be away for days. Requests stay requested."""
        for kind, ended in list(self._requested.items()):
            ended.set()
            self._requested[kind] = asyncio.Event()

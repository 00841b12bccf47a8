"""When which sweep is made: one page after the other, so never two of a store at once.

A full sweep lets the shorter ones go between its pages. A sweep in trouble ends, is seen in the
store's health, and comes again.
"""

import asyncio
import contextlib
from typing import Final, Never

from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.publisher import StoreContext
from raised.btcpay.sweeps import SweepRunner
from raised.btcpay.timing import StoreTiming
from raised.domain.observation import Sweep
from raised.errors import SourceError, Unavailable
from raised.net.backoff import Backoff

_DAY: Final = 86_400
# What was made lately comes first: it leaves less for the others to ask one by one.
_ORDER: Final[tuple[Sweep, ...]] = ("recent", "active", "late", "full")


class SweepScheduler:
    """The sweeps that are asked for. `follow` makes them; the others may be called at any time."""

    def __init__(self, follower: StoreContext, sweeps: SweepRunner, pauses: StoreTiming) -> None:
        self._follower = follower
        self._sweeps = sweeps
        self._backoff = Backoff(pauses.first, pauses.most)
        self._asked: dict[Sweep, asyncio.Event] = {}  # set when it has ended, in whatever way
        self._bell = asyncio.Event()
        self._ended = False

    def want(self, kind: Sweep) -> asyncio.Event:
        """Have this sweep made soon."""
        self._bell.set()
        return self._asked.setdefault(kind, asyncio.Event())

    async def sweep(self, kind: Sweep) -> None:
        """Have it made, and wait for its end.

        Does not wait while the store cannot be asked, nor for more than one month of a large one.
        """
        asked = self.want(kind)
        if (
            self._follower.health.key_accepted.is_set()
            and self._backoff.is_due()
            and not self._ended
        ):
            await asked.wait()

    async def follow(self) -> Never:
        """Sweep when asked, for ever. Cancelled, a full sweep goes on at the next start."""
        try:
            await self._follower.health.key_accepted.wait()
            await self._begin()
            while True:
                await self._make(await self._next())
        finally:
            self._ended = True
            self._let_go()

    async def _begin(self) -> None:
        """What was missed while nobody followed; at the very first start that is everything."""
        me = self._follower
        swept_at = await me.record.swept_at(me.label)
        if swept_at is None:
            self.want("full")
            return
        self._sweeps.covered_until = swept_at
        for kind in ("recent", "active", "late"):
            self.want(kind)
        overdue = me.clock() - swept_at >= _DAY
        if overdue or await me.record.interrupted_sweep(me.label) is not None:
            self.want("full")

    async def _next(self) -> Sweep:
        """The sweep that is due; waits for one."""
        time = asyncio.get_running_loop().time
        while True:
            await self._follower.health.key_accepted.wait()
            self._bell.clear()
            due = {kind: self._due_at(kind) for kind in _ORDER if kind in self._asked}
            for kind, due_at in due.items():
                if due_at <= time():
                    return kind
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(due.values(), default=None)):
                    await self._bell.wait()

    def _due_at(self, kind: Sweep) -> float:
        rested_at = self._sweeps.rests_until if kind == "full" else float("-inf")
        return max(self._backoff.due_at, rested_at)

    async def _make(self, kind: Sweep) -> None:
        # What is asked for while a short sweep is made is another one; a full one takes it along.
        asked = self._asked[kind] if kind == "full" else self._asked.pop(kind)
        try:
            left = await self._sweeps.make(kind)
        except SourceError as error:
            self._failed(error)
            self.want(kind)
            asked.set()
            return
        except asyncio.CancelledError:
            asked.set()
            raise
        self._backoff.on_success()
        self._follower.health.request_succeeded("sweep")
        if left == "nothing":
            asked.set()
            if kind == "full":
                del self._asked[kind]
                self.want("recent")  # what was made while it read
        elif left == "later":
            asked.set()
            self._asked[kind] = asyncio.Event()

    def _failed(self, error: SourceError) -> None:
        self._follower.health.request_failed(error, "sweep")
        if error.code not in LOCKED_OUT:
            retry_after = error.retry_after if isinstance(error, Unavailable) else None
            self._backoff.on_failure(retry_after or 0)
        self._let_go()

    def _let_go(self) -> None:
        """Nobody shall wait: the server may be away for days. What was asked for stays asked."""
        for kind, asked in list(self._asked.items()):
            asked.set()
            self._asked[kind] = asyncio.Event()

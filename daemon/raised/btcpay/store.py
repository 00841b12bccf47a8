"""One store followed: its doorbell, its sweeps, its health, each in a task of its own."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Never

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.crowdfund_apps import CrowdfundApps
from raised.btcpay.health import LOCKED_OUT, StoreHealth
from raised.btcpay.inbox import InboxWorker
from raised.btcpay.ports import StoreRecord
from raised.btcpay.preflight import check_store
from raised.btcpay.publisher import InvoicePublisher, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.scheduler import SweepScheduler
from raised.btcpay.settings import StoreSettings
from raised.btcpay.sweeps import SweepRunner
from raised.btcpay.timing import StoreTiming
from raised.domain.observation import Observation, Sweep
from raised.errors import SourceError
from raised.net.backoff import Backoff

_NOW: Final[tuple[Sweep, ...]] = ("recent", "active", "late", "full")


class Store:
    """`follow` runs it; the others may be called at any time."""

    def __init__(
        self,
        settings: StoreSettings,
        server: Greenfield,
        record: StoreRecord,
        outbox: asyncio.Queue[Observation],
        *,
        clock: Callable[[], int],
        pauses: StoreTiming,
    ) -> None:
        label = settings.label
        health = StoreHealth(
            label, lambda: server.stats, clock, expects_events=settings.expects_events
        )
        self._settings = settings
        self._pauses = pauses
        self._asked = asyncio.Event()
        self._me = StoreContext(label, server, record, health, outbox, clock)
        telling = InvoicePublisher(self._me, CrowdfundApps(settings.crowdfund_apps, server))
        refunds = RefundFetcher(self._me)
        self._doorbell = InboxWorker(self._me, telling, refunds, pauses)
        self._sweeps = SweepRunner(self._me, telling, refunds, pauses)
        self._rota = SweepScheduler(self._me, self._sweeps, pauses)

    @property
    def is_at_its_first(self) -> bool:
        """Whether somebody was told of a first sweep that has not come to its end."""
        return self._sweeps.is_at_its_first

    async def follow(self) -> Never:
        """Observe this store, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._doorbell.follow())
            tasks.create_task(self._rota.follow())
            tasks.create_task(self._report())
            await self._look()
        raise AssertionError("a task group that was never left without an exception")

    def wake(self) -> None:
        """Look at the inbox."""
        self._doorbell.wake()

    def refresh(self) -> None:
        """Pull now: somebody has asked, perhaps after mending what kept us out."""
        self._asked.set()
        for kind in _NOW:
            self._rota.want(kind)

    async def sweep(self, kind: Sweep) -> None:
        """Make this sweep."""
        await self._rota.sweep(kind)

    async def close(self) -> None:
        """Close the connections."""
        await self._me.server.close()

    async def _look(self) -> Never:
        """See now and then whether the server does what it should, and we may ask it."""
        backoff = Backoff(self._pauses.first, self._pauses.most)
        time = asyncio.get_running_loop().time
        while True:
            self._asked.clear()
            wait = self._pauses.look
            try:
                await check_store(
                    self._me, self._settings.store_id, expects_events=self._settings.expects_events
                )
                backoff.on_success()
            except SourceError as error:
                self._me.health.request_failed(error, "check")
                backoff.on_failure()
                locked_out = error.code in LOCKED_OUT
                wait = self._pauses.locked_out if locked_out else backoff.due_at - time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._asked.wait()

    async def _report(self) -> Never:
        """Health: a change of condition at once, moved figures now and then."""
        health = self._me.health
        moved = False
        while True:
            observed = health.due_report(moved=moved)
            if observed is not None:
                await self._me.outbox.put(observed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pauses.health):
                    await health.changed.wait()
            moved = not health.changed.is_set()
            health.changed.clear()

"""One relay, for as long as we follow it: connect, attend to it, connect again.

Whatever a relay does costs itself only: it has a connection, a queue and tasks of its own.
"""

import asyncio
import contextlib
from typing import Final, Never

from raised import clock
from raised.domain.observation import Observation
from raised.errors import Unavailable
from raised.net.backoff import backoff_seconds
from raised.nostr.connection import Line
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Intake, Recent
from raised.nostr.ports import RelayRecord
from raised.nostr.relay_state import Interest, Standing
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.session import attend

CUT_OFF_FAILURES: Final = 6  # a relay that had to be cut off waits as if it had failed so often


class Relay:
    """One relay. `follow` never ends; the other methods only note what has changed."""

    def __init__(
        self,
        endpoint: RelayEndpoint,
        record: RelayRecord,
        recent: Recent,
        outbox: asyncio.Queue[Observation],
    ) -> None:
        self._endpoint = endpoint
        self._outbox = outbox
        self._health = RelayHealth(endpoint.settings.url, endpoint.timing.grudge)
        self._intake = Intake(self._health, record, recent, outbox)
        self._standing = Standing(endpoint, record, self._health, self._intake, outbox)

    def want(self, interest: Interest) -> None:
        """Have the relay asked for this from now on."""
        self._standing.interest = interest
        self._intake.asked = set(interest.missing)
        self._standing.news.set()

    def request_full_backfill(self) -> None:
        """Have everything asked for again, from the beginning."""
        self._standing.full = True
        self._standing.compares = True
        self._standing.news.set()

    async def follow(self) -> Never:
        """Observe what the relay holds and gets. When cancelled, what was taken is observed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._intake.follow_singles())
            tasks.create_task(self._intake.follow_pages())
            tasks.create_task(self._report())
            await self._stay_connected(tasks)
        raise AssertionError("a task group that was never left without an exception")

    async def _stay_connected(self, tasks: asyncio.TaskGroup) -> Never:
        timing = self._endpoint.timing
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._connection(tasks)
            except Unavailable as lost:
                self._health.on_disconnected(lost.code)
                failures = max(failures, CUT_OFF_FAILURES if lost.code == "cut_off" else 0)
            if asyncio.get_running_loop().time() - began > timing.retry_max:
                failures = 0
            await asyncio.sleep(backoff_seconds(timing.retry, timing.retry_max, failures))
            failures += 1

    async def _connection(self, tasks: asyncio.TaskGroup) -> Never:
        line = Line(self._endpoint, self._health, self._intake.put, self._standing.news)
        try:
            await line.connect(tasks)
            self._health.on_connected()
            await attend(line, self._standing)
        finally:
            await line.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._endpoint.timing.drain):
                    await self._intake.drain()

    async def _report(self) -> Never:
        while True:
            if report := self._health.due_report(clock.now(), self._endpoint.timing.report):
                await self._outbox.put(report)
            await asyncio.sleep(self._endpoint.timing.poll)

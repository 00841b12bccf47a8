"""A relay, for as long as it is followed: connect, work, and connect again.

A relay that misbehaves affects no other: each has a connection, a queue and tasks of its own.
"""

import asyncio
import contextlib
from typing import Final, Never

from raised import clock
from raised.domain.observation import Observation, Progress, WantedAsked
from raised.domain.wanted import digest_of_events
from raised.errors import Refused, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.catch_up import CatchUp
from raised.nostr.connection import RelayConnection
from raised.nostr.fetch_by_id import MissingEvents
from raised.nostr.filters import public_filters
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Ingest, SeenCache
from raised.nostr.ports import RelayRecord
from raised.nostr.relay_state import RelayContext, RelayState, Wanted
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.subscriptions import LiveSubscriptions
from raised.nostr.unexplained_bytes import UnexplainedBytes

CUT_OFF_FAILURES: Final = 6  # a relay that was cut off waits as if it had failed so often


class Relay:
    """A relay. `follow` never ends; the other methods only note what has changed."""

    def __init__(
        self,
        endpoint: RelayEndpoint,
        record: RelayRecord,
        seen: SeenCache,
        outbox: asyncio.Queue[Observation],
    ) -> None:
        self._timing = endpoint.timing
        self._outbox = outbox
        timing = endpoint.timing
        self._health = RelayHealth(
            endpoint.settings.url, timing.bad_data_cooldown, timing.report_interval
        )
        self._ingest = Ingest(self._health, record, seen, outbox)
        self._context = RelayContext(endpoint, record, self._health, self._ingest, outbox)
        self._state = RelayState()
        self._asked: Wanted | None = None

    def set_wanted(self, wanted: Wanted) -> None:
        """Request this from the relay from now on."""
        self._ingest.requested_ids = set(wanted.event_ids)
        self._state.set_wanted(wanted)

    def request_full_backfill(self) -> None:
        """Have everything read again, from the beginning."""
        self._state.request_full_backfill()

    async def follow(self) -> Never:
        """Observe what the relay has and gets. When cancelled, what was queued is observed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ingest.process_live())
            tasks.create_task(self._ingest.process_pages())
            tasks.create_task(self._report_health())
            await self._stay_connected(tasks)
        raise AssertionError("a task group that was never left without an exception")

    async def _stay_connected(self, tasks: asyncio.TaskGroup) -> Never:
        loop, timing = asyncio.get_running_loop(), self._timing
        backoff = Backoff(timing.reconnect_first, timing.reconnect_max)
        while True:
            began = loop.time()
            try:
                await self._use_connection(tasks)
            except Unavailable as error:
                self._health.on_disconnected(error.code)
                await self._end_first_attempt()
                if error.code == "cut_off":
                    backoff.failures = max(backoff.failures, CUT_OFF_FAILURES)
            # Only a connection that lasted is a success: a relay may accept and hang up at once.
            if loop.time() - began > timing.reconnect_max:
                backoff.on_success()
            await asyncio.sleep(backoff.on_failure())

    async def _use_connection(self, tasks: asyncio.TaskGroup) -> Never:
        """Connect and work until the connection is lost. Raises Unavailable."""
        connection = RelayConnection(
            self._context.endpoint, self._health, self._ingest.put, self._state.work_available
        )
        try:
            await connection.connect(tasks)
            self._health.on_connected()
            await self._work(connection)
        finally:
            await connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.drain_timeout):
                    await self._ingest.drain()

    async def _work(self, connection: RelayConnection) -> Never:
        """Do what is due on the connection, again and again. Raises Unavailable.

        Live subscriptions come first: what is published during the back-fill comes through them.
        """
        state = self._state
        live = LiveSubscriptions(connection, self._context, state)
        catch_up = CatchUp(connection, self._context, state, live.maintain)
        missing = MissingEvents(connection, self._context, state)
        unexplained = UnexplainedBytes(connection, self._context, state)
        while True:
            state.work_available.clear()
            wanted = state.wanted
            await live.maintain()
            has_read = await catch_up.run_if_due()
            # After a back-fill at once: then we know what the relay lacks.
            await missing.exchange(now=has_read)
            await unexplained.examine()
            if catch_up.has_tried(wanted.pubkeys) and missing.has_asked(wanted.event_ids):
                await self._report_asked(wanted)
            if connection.quiet_seconds() > self._timing.probe_after:
                await _probe(connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.poll_interval):
                    await state.work_available.wait()

    async def _end_first_attempt(self) -> None:
        """Report that the first attempt to read the relay has ended, so that nobody waits for it:
        a relay that breaks each connection must not keep a new record from being served.
        """
        if self._state.backfill.is_first:
            self._state.backfill.is_first = False
            url = self._context.url
            await self._outbox.put(Progress(f"backfill {url}", 1, 1, clock.now()))

    async def _report_asked(self, wanted: Wanted) -> None:
        """Report once that the relay was asked for all of it, after what it gave."""
        if wanted != self._asked:
            await self._ingest.drain_pages()
            url = self._context.url
            events = digest_of_events(wanted.event_ids)
            report = WantedAsked(url, clock.now(), events, wanted.after_first_read)
            await self._outbox.put(report)
            self._asked = wanted

    async def _report_health(self) -> Never:
        while True:
            if report := self._health.due_report(clock.now()):
                await self._outbox.put(report)
            await asyncio.sleep(self._timing.poll_interval)


async def _probe(connection: RelayConnection) -> None:
    """Request a page. Raises Unavailable when no answer comes.

    A half-open connection is noticed by the library's pings only after minutes.
    """
    with contextlib.suppress(Refused):
        await connection.page({**public_filters()[0], "limit": 1})

"""The relay source: follows all configured relays at once; none waits for another."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Never

from raised.domain.observation import Observation
from raised.nostr import sdk_client
from raised.nostr.ingest import SeenCache
from raised.nostr.ports import RelayRecord
from raised.nostr.relay import Relay
from raised.nostr.relay_state import Wanted
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming

# The record is asked at least so often: `wake` is only a hint, and may be lost.
WANTED_INTERVAL_SECONDS: Final = 60.0


class RelaySource:
    """The relay source. `follow` runs it; the other methods may be called at any time.

    Raises ConfigError when an address, a key file or the proxy cannot be used.
    """

    def __init__(
        self,
        relays: Sequence[RelaySettings],
        record: RelayRecord,
        *,
        proxy: ProxySettings | None = None,
        timing: RelayTiming | None = None,
    ) -> None:
        self._record = record
        self._proxy = proxy
        self._timing = timing or RelayTiming()
        self._configured = self._checked(relays)
        self._seen = SeenCache()
        self._wanted = Wanted()
        self._following: dict[RelaySettings, tuple[Relay, asyncio.Task[Never]]] = {}
        self._work_available = asyncio.Event()

    def wake(self) -> None:
        """Have the record asked what is wanted: there may be a new project or a missing event."""
        self._work_available.set()

    def request_full_backfill(self) -> None:
        """Have everything read again from every relay."""
        for relay, _ in self._following.values():
            relay.request_full_backfill()

    def replace(self, relays: Sequence[RelaySettings]) -> None:
        """Follow these relays from now on. Raises ConfigError, and then nothing changes."""
        self.prepare(relays)()

    def prepare(self, relays: Sequence[RelaySettings]) -> Callable[[], None]:
        """Check these relays; the returned function applies them. Raises ConfigError."""
        checked = self._checked(relays)

        def apply() -> None:
            self._configured = checked
            self._work_available.set()

        return apply

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        """Observe what the relays have and get, for ever."""
        sdk_client.use_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._work_available.clear()
                await self._update_wanted()
                await self._start_and_stop(tasks, outbox)
                # A commit may wake us many times a second; each update costs queries.
                await asyncio.sleep(self._timing.wake_interval)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WANTED_INTERVAL_SECONDS):
                        await self._work_available.wait()
        raise AssertionError("a task group that was never left without an exception")

    def _checked(self, relays: Sequence[RelaySettings]) -> tuple[RelaySettings, ...]:
        for settings in relays:
            self._endpoint(settings).check()
        return tuple(relays)

    def _endpoint(self, settings: RelaySettings) -> sdk_client.RelayEndpoint:
        return sdk_client.RelayEndpoint(settings, self._proxy, self._timing)

    async def _update_wanted(self) -> None:
        # Before what is wanted, which then lacks nothing that the first reading brought.
        after_first_read = await self._record.are_sources_read()
        wanted = Wanted(
            pubkeys=tuple(dict.fromkeys(await self._record.project_pubkeys())),
            event_ids=tuple(sorted(await self._record.missing_events())),
            after_first_read=after_first_read,
        )
        if wanted != self._wanted:
            self._wanted = wanted
            for relay, _ in self._following.values():
                relay.set_wanted(wanted)

    async def _start_and_stop(
        self, tasks: asyncio.TaskGroup, outbox: asyncio.Queue[Observation]
    ) -> None:
        """Follow the relays that are configured, and no others."""
        removed = [settings for settings in self._following if settings not in self._configured]
        for settings in removed:
            _, task = self._following.pop(settings)
            task.cancel()
            # Until its connection is closed and its queue empty, lest observations be lost.
            await asyncio.wait([task])
        for settings in self._configured:
            if settings not in self._following:
                relay = Relay(self._endpoint(settings), self._record, self._seen, outbox)
                relay.set_wanted(self._wanted)
                self._following[settings] = (relay, tasks.create_task(relay.follow()))

"""All relays at once. Nothing here waits for one of them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Never

from raised.domain.observation import Observation
from raised.nostr import sdk_client
from raised.nostr.ingest import Recent
from raised.nostr.ports import RelayRecord
from raised.nostr.relay import Relay
from raised.nostr.relay_state import Interest
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming

LOOK_AGAIN_SECONDS: Final = 60.0  # a wake-up is only a hint, and may be lost


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
        self._wanted = self._checked(relays)
        self._recent = Recent()
        self._interest = Interest()
        self._following: dict[RelaySettings, tuple[Relay, asyncio.Task[Never]]] = {}
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Have the record looked at again: there may be a new project, or an event to look for."""
        self._news.set()

    def request_full_backfill(self) -> None:
        """Have everything asked for again on every relay."""
        for relay, _ in self._following.values():
            relay.request_full_backfill()

    def replace(self, relays: Sequence[RelaySettings]) -> None:
        """Follow these relays from now on. Raises ConfigError, and then nothing changes."""
        self.prepare(relays)()

    def prepare(self, relays: Sequence[RelaySettings]) -> Callable[[], None]:
        """Check these relays; what is returned makes us follow them. Raises ConfigError."""
        checked = self._checked(relays)

        def follow_them() -> None:
            self._wanted = checked
            self._news.set()

        return follow_them

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        """Observe what the relays hold and get, for ever."""
        sdk_client.use_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                await self._look()
                await self._adjust(tasks, outbox)
                await asyncio.sleep(self._timing.wake)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                        await self._news.wait()
        raise AssertionError("a task group that was never left without an exception")

    def _checked(self, relays: Sequence[RelaySettings]) -> tuple[RelaySettings, ...]:
        for settings in relays:
            sdk_client.RelayEndpoint(settings, self._proxy, self._timing).check()
        return tuple(relays)

    async def _look(self) -> None:
        new = Interest(
            keys=tuple(dict.fromkeys(await self._record.project_pubkeys())),
            missing=tuple(sorted(await self._record.missing_events())),
        )
        if new != self._interest:
            self._interest = new
            for relay, _ in self._following.values():
                relay.want(new)

    async def _adjust(self, tasks: asyncio.TaskGroup, outbox: asyncio.Queue[Observation]) -> None:
        """Start what is wanted and not followed, end what is followed and not wanted."""
        for settings in [each for each in self._following if each not in self._wanted]:
            _, task = self._following.pop(settings)
            task.cancel()
            await asyncio.wait([task])
        for settings in self._wanted:
            if settings not in self._following:
                endpoint = sdk_client.RelayEndpoint(settings, self._proxy, self._timing)
                relay = Relay(endpoint, self._record, self._recent, outbox)
                relay.want(self._interest)
                self._following[settings] = (relay, tasks.create_task(relay.follow()))

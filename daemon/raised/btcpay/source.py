"""The BTCPay source: all configured stores at once, none of which waits for another."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Never

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import IN_FLIGHT, RetryPolicy
from raised.btcpay.ports import StoreRecord
from raised.btcpay.settings import StoreSettings, StoreTiming
from raised.btcpay.store import Store
from raised.clock import now
from raised.domain.observation import Observation, Sweep
from raised.net.http_client import Transport


class StoreSource:
    """The store source. `follow` runs it; the other methods may be called at any time.

    Raises ConfigError when a key or a certificate file cannot be used.
    """

    def __init__(
        self,
        settings: Sequence[StoreSettings],
        record: StoreRecord,
        *,
        clock: Callable[[], int] = now,
        transport: Transport | None = None,
        retry_policy: RetryPolicy | None = None,
        timing: StoreTiming | None = None,
    ) -> None:
        self._record = record
        self._clock = clock
        self._transport = transport
        self._retry_policy = retry_policy
        self._timing = timing or StoreTiming()
        self._request_limits: dict[str, asyncio.Semaphore] = {}
        self._servers: dict[StoreSettings, Greenfield] = {}
        self._following: dict[StoreSettings, tuple[Store, asyncio.Task[Never]]] = {}
        self._settings_changed = asyncio.Event()
        self.replace(settings)

    def replace(self, settings: Sequence[StoreSettings]) -> None:
        """Follow these stores from now on. Raises ConfigError, and then nothing changes."""
        self.prepare(settings)()

    def prepare(self, settings: Sequence[StoreSettings]) -> Callable[[], None]:
        """Check these stores; what is returned makes us follow them. Raises ConfigError."""
        servers = {
            store: self._servers.get(store) or self._open_server(store) for store in settings
        }

        def follow_them() -> None:
            self._servers = servers
            self._settings_changed.set()

        return follow_them

    def wake(self) -> None:
        """Read the inboxes: the record has committed something."""
        for store, _ in self._following.values():
            store.wake()

    async def sweep(self, kind: Sweep) -> None:
        """Sweep every store, and wait for the end where the store can be asked."""
        async with asyncio.TaskGroup() as tasks:
            for store, _ in self._following.values():
                tasks.create_task(store.sweep(kind))

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        """Observe the stores, for ever. Cancelled, it loses nothing."""
        refreshed_at = await self._record.refresh_requested_at()
        async with asyncio.TaskGroup() as tasks:
            while True:
                # Cleared before the settings are read: a later change is not lost.
                self._settings_changed.clear()
                await self._adjust(tasks, outbox)
                requested_at = await self._record.refresh_requested_at()
                if requested_at != refreshed_at:
                    refreshed_at = requested_at
                    self._refresh()
                # Without stores nothing is to be refreshed, so there is nothing to poll for.
                wait = self._timing.inbox_poll if self._servers else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._settings_changed.wait()
        raise AssertionError("a task group that was never left without an exception")

    def _refresh(self) -> None:
        for store, _ in self._following.values():
            store.refresh()

    def _open_server(self, settings: StoreSettings) -> Greenfield:
        """A client; the stores of one server share its limit of requests in flight."""
        limit = self._request_limits.setdefault(settings.url, asyncio.Semaphore(IN_FLIGHT))
        return Greenfield(
            settings,
            transport=self._transport,
            request_slots=limit,
            retry_policy=self._retry_policy,
        )

    async def _adjust(self, tasks: asyncio.TaskGroup, outbox: asyncio.Queue[Observation]) -> None:
        """Stop following the stores that were removed, then start with those that were added."""
        for settings in [store for store in self._following if store not in self._servers]:
            store, task = self._following.pop(settings)
            task.cancel()
            await asyncio.wait([task])
            await store.close()
        for settings, server in self._servers.items():
            if settings not in self._following:
                store = Store(
                    settings, server, self._record, outbox, clock=self._clock, timing=self._timing
                )
                self._following[settings] = (store, tasks.create_task(store.follow()))

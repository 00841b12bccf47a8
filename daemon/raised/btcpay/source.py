"""The BTCPay source: all configured stores at once. Nothing here waits for one of them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Never

import httpx

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import IN_FLIGHT, RetryPolicy
from raised.btcpay.ports import StoreRecord
from raised.btcpay.settings import StoreSettings
from raised.btcpay.store import Store
from raised.btcpay.sweeps import progress_name
from raised.btcpay.timing import StoreTiming
from raised.clock import now
from raised.domain.observation import Observation, Progress, Sweep


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
        transport: httpx.AsyncBaseTransport | None = None,
        retry_policy: RetryPolicy | None = None,
        pauses: StoreTiming | None = None,
    ) -> None:
        self._record = record
        self._clock = clock
        self._transport = transport
        self._retry_policy = retry_policy
        self._pauses = pauses or StoreTiming()
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._servers: dict[StoreSettings, Greenfield] = {}
        self._following: dict[StoreSettings, tuple[Store, asyncio.Task[Never]]] = {}
        self._news = asyncio.Event()
        self.replace(settings)

    def replace(self, settings: Sequence[StoreSettings]) -> None:
        """Follow these stores from now on. Raises ConfigError, and then nothing changes."""
        self._servers = {one: self._servers.get(one) or self._server(one) for one in settings}
        self._news.set()

    def wake(self) -> None:
        """Look at the inboxes: the record has committed something."""
        for store, _ in self._following.values():
            store.wake()

    async def sweep(self, kind: Sweep) -> None:
        """Have every store swept, and wait until it has been, where it can be asked."""
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
                self._news.clear()
                await self._adjust(tasks, outbox)
                asked_at = await self._record.refresh_requested_at()
                if asked_at != refreshed_at:
                    refreshed_at = asked_at
                    self._refresh()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pauses.poll if self._servers else None):
                        await self._news.wait()
        raise AssertionError("a task group that was never left without an exception")

    def _refresh(self) -> None:
        for store, _ in self._following.values():
            store.refresh()

    def _server(self, settings: StoreSettings) -> Greenfield:
        """A client; stores of one server ask it in turns."""
        gate = self._gates.setdefault(settings.url, asyncio.Semaphore(IN_FLIGHT))
        return Greenfield(
            settings, transport=self._transport, gate=gate, retry_policy=self._retry_policy
        )

    async def _adjust(self, tasks: asyncio.TaskGroup, outbox: asyncio.Queue[Observation]) -> None:
        """Start what is wanted and not followed, end what is followed and not wanted."""
        for settings in [one for one in self._following if one not in self._servers]:
            store, task = self._following.pop(settings)
            task.cancel()
            await asyncio.wait([task])
            await store.close()
            if store.is_at_its_first:
                await outbox.put(Progress(progress_name(settings.label), 0, 0, self._clock()))
        for settings, server in self._servers.items():
            if settings not in self._following:
                store = Store(
                    settings, server, self._record, outbox, clock=self._clock, pauses=self._pauses
                )
                self._following[settings] = (store, tasks.create_task(store.follow()))

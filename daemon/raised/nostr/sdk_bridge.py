"""Brings what nostr-sdk receives to the event loop, without loss and in order.

Events come through the admit policy, which makes the relay wait while we are busy. The policy
rejects every event, so that the notifications, which are lossy, carry only EOSE, CLOSED and the
like. An event is put into a queue on the library's thread, so the relay need not wait for a turn
of our loop; every event that came before an EOSE is handled before the EOSE is.
Source: docs/nostr.md 4.1, 4.4.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import nostr_sdk as sdk

from raised.nostr import sdk_client

QUEUE_MAX: Final = 1_000  # events that were not looked at; then the relay waits


class SdkBridge:
    """Calls `on_event(subscription_id, json)` and `on_message(message)` on the event loop."""

    def __init__(
        self,
        on_event: Callable[[str, str], Awaitable[None]],
        on_message: Callable[[sdk.RelayMessage], None],
    ) -> None:
        self._on_event = on_event
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[str, str]] = deque()
        self._queued = asyncio.Event()
        self._is_signalled = False  # the loop will look at the queue
        self._is_closed = False
        self._handling = 0

    @property
    def is_idle(self) -> bool:
        """Whether every event that came was handled."""
        return not self._handling and not self._queue

    def policy(self) -> sdk.AdmitPolicy:
        """The policy of a client whose events this bridge takes."""
        enqueue = self.enqueue if sdk_client.patch_callbacks() else None
        return _QueueingPolicy(enqueue, self._handle)

    def enqueue(self, subscription_id: str, text: str) -> bool:
        """Queue an event if there is room. Called on the library's thread."""
        if len(self._queue) >= QUEUE_MAX:
            return False
        self._queue.append((subscription_id, text))
        if not self._is_signalled:
            self._is_signalled = True
            self._loop.call_soon_threadsafe(self._queued.set)
        return True

    async def handle_events(self) -> None:
        """Handle queued events until `close`."""
        while not self._is_closed:
            await self._queued.wait()
            self._queued.clear()
            # Before the queue is read: an event that comes after must signal again.
            self._is_signalled = False
            await self.drain()

    async def handle_messages(self, notifications: sdk.ClientNotificationStream) -> None:
        """Handle messages until the client is shut down.

        Never cancel it: a cancelled `next()` may lose what it was about to return.
        """
        while (notification := await notifications.next()) is not None:
            if isinstance(notification, sdk.ClientNotification.MESSAGE):
                await self.drain()  # an EOSE ends what came before it
                self._on_message(notification.message)

    async def drain(self) -> None:
        """Handle every event that is queued."""
        while self._queue:
            await self._handle(*self._queue.popleft())

    def close(self) -> None:
        """End `handle_events`."""
        self._is_closed = True
        self._queued.set()

    async def _handle(self, subscription_id: str, text: str) -> None:
        self._handling += 1
        try:
            await self._on_event(subscription_id, text)
        finally:
            self._handling -= 1


class _QueueingPolicy(sdk.AdmitPolicy):  # type: ignore[misc]  # the library has no types
    """Takes every event. Never raises: the event would be dropped.

    `enqueue` may run on any thread and says whether there was room; else `handle` is awaited,
    and the relay with it.
    """

    def __init__(
        self,
        enqueue: Callable[[str, str], bool] | None,
        handle: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._enqueue = enqueue
        self._handle = handle
        self._accepted = sdk.AdmitStatus.success()
        self._rejected = sdk.AdmitStatus.rejected()

    async def admit_connection(self, relay_url: sdk.RelayUrl) -> sdk.AdmitStatus:  # noqa: ARG002
        return self._accepted

    def admit_event(
        self,
        relay_url: sdk.RelayUrl,  # noqa: ARG002 - a client has one relay
        subscription_id: str,
        event: sdk.Event,
    ) -> object:
        """A status, or a coroutine that returns one."""
        text = event.as_json()
        if self._enqueue is not None and self._enqueue(subscription_id, text):
            return self._rejected
        return self._wait(subscription_id, text)

    async def _wait(self, subscription_id: str, text: str) -> sdk.AdmitStatus:
        await self._handle(subscription_id, text)
        return self._rejected

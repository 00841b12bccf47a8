"""A live connection to a relay: subscriptions, pages and writing, with every event received.

It tells EOSE from CLOSED, which the faster page reader cannot (page_reader.py).
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import nostr_sdk as sdk

from raised import clock
from raised.domain.event import Event, event_json
from raised.errors import Refused, SourceError, Unavailable
from raised.nostr import sdk_client
from raised.nostr.byte_accounting import TrafficMonitor
from raised.nostr.filters import Filter, RequestedFilters
from raised.nostr.health import RelayHealth
from raised.nostr.requests import Request, Requests, closed_prefix
from raised.nostr.sdk_bridge import SdkBridge

# While data keeps coming, an answer may take so many times `eose_timeout`, but not for ever.
EOSE_TIMEOUTS_MAX: Final = 20
LIVE_PREFIX: Final = "live-"  # of the ids of live subscriptions

_page_numbers: Final = itertools.count(1)


class RelayConnection:
    """A connection, from `connect` to `close`. `on_event` gets each event that is of no page."""

    def __init__(
        self,
        endpoint: sdk_client.RelayEndpoint,
        health: RelayHealth,
        on_event: Callable[[Event], Awaitable[None]],
        work_available: asyncio.Event,
    ) -> None:
        self.closed: dict[str, str] = {}  # live subscription → prefix of the CLOSED that ended it
        self._endpoint = endpoint
        self._health = health
        self._on_event = on_event
        self._work_available = work_available
        self._filters = RequestedFilters()
        self._traffic = TrafficMonitor(health, endpoint.timing.byte_check_after)
        has_auth_key = endpoint.settings.auth_key_file is not None
        self._requests = Requests(health, has_auth_key=has_auth_key)
        self._bridge = SdkBridge(self._receive_event, self._receive_message)
        self._client = endpoint.client(self._bridge.policy())
        self._relay: sdk.Relay | None = None

    async def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Open the connection. Raises Unavailable with the reason as its code."""
        # The stream is opened before anything is sent: what it carries earlier is lost.
        tasks.create_task(self._bridge.handle_messages(self._client.notifications()))
        tasks.create_task(self._bridge.handle_events())
        self._relay = await self._endpoint.connect(self._client)
        self._traffic.start()

    async def close(self) -> None:
        """Close it. Queued events are handed over, as far as there is room soon."""
        await sdk_client.close_client(self._client)
        # Client, policy and connection refer to each other, in part through Rust, where no
        # garbage collector sees it: without this line none of them would ever be freed.
        del self._client
        self._relay = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._endpoint.timing.drain_timeout):
                await self._bridge.drain()
        self._bridge.close()

    def check(self) -> None:
        """Raise Unavailable when the connection is lost, or sends too much unusable data."""
        if self._relay is None or self._relay.status() != sdk.RelayStatus.CONNECTED:
            raise Unavailable(self._health.url, "the connection broke", "lost")
        received = self._relay.stats().bytes_received()
        self._traffic.check(received, is_idle=self._bridge.is_idle)

    def quiet_seconds(self) -> float:
        """Seconds since anything was received."""
        return self._traffic.quiet_seconds()

    def take_unexplained(self) -> list[Filter] | None:
        """The filters under which bytes became no message, see TrafficMonitor; only once."""
        filters, self._traffic.unexplained = self._traffic.unexplained, None
        return filters

    async def subscribe(self, subscription_id: str, filters: Sequence[Filter]) -> None:
        """Open a live subscription with these filters under an id that is new here.

        Raises Unavailable when the relay stays silent; Refused, with the prefix as its code, when
        it closes the subscription.
        """
        await self._request(subscription_id, filters, None)

    async def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. No error when there is none of this id."""
        self.closed.pop(subscription_id, None)
        self._filters.end(subscription_id)
        await self._client.unsubscribe(subscription_id)

    async def page(self, conditions: Filter) -> Sequence[Event]:
        """The stored events that match, as many as the relay gives. Raises as `subscribe` does."""
        self._traffic.note_page(conditions)
        until_eose = sdk.SubscribeAutoCloseOptions().exit_policy(sdk.ReqExitPolicy.EXIT_ON_EOSE())
        return await self._request(f"page-{next(_page_numbers)}", [conditions], until_eose)

    async def write(self, event: Event) -> None:
        """Publish an event on the relay. Raises Refused."""
        assert self._relay is not None, "connect comes first"
        try:
            await self._relay.send_event(
                sdk.Event.from_json(event_json(event)),
                ok_timeout=timedelta(seconds=self._endpoint.timing.eose_timeout),
            )
        except sdk.NostrSdkError as error:
            raise Refused(self._health.url, "it did not take an event", "not_written") from error

    async def _request(
        self,
        subscription_id: str,
        filters: Sequence[Filter],
        auto_close: sdk.SubscribeAutoCloseOptions | None,
    ) -> Sequence[Event]:
        request = self._requests.open(subscription_id, is_page=auto_close is not None)
        # Before the REQ is sent: its first event may come at once.
        self._filters.open(subscription_id, filters)
        try:
            await self._send_req(subscription_id, filters, auto_close)
            await self._wait_for_end(request)
        except SourceError:
            self._filters.end(subscription_id)
            for event in request.events:  # no complete page, but valid events
                await self._on_event(event)
            if request.is_page:  # the relay may still be sending
                await self._client.unsubscribe(subscription_id)
            raise
        finally:
            self._requests.remove(subscription_id)
            if request.is_page:
                self._filters.end(subscription_id)
        return request.events

    async def _send_req(
        self,
        subscription_id: str,
        filters: Sequence[Filter],
        auto_close: sdk.SubscribeAutoCloseOptions | None,
    ) -> None:
        target = sdk.ReqTarget.single(
            self._endpoint.url, [sdk_client.library_filter(conditions) for conditions in filters]
        )
        out = await self._client.subscribe(target, id=subscription_id, close_on=auto_close)
        if out.failed:  # the library returns such errors, it does not raise them
            raise Unavailable(self._health.url, "the REQ was not sent", "lost")

    async def _wait_for_end(self, request: Request) -> None:
        """Wait for the EOSE. Raises Refused for a CLOSED, Unavailable when neither comes."""
        sent_at = asyncio.get_running_loop().time()
        for _ in range(EOSE_TIMEOUTS_MAX):
            received = self._traffic.received
            await self._wait_once(request.ended)
            # With events queued it is us who keep the relay waiting.
            is_silent = received == self._traffic.received and self._bridge.is_idle
            if request.ended.done() or is_silent:
                break
        if request.ended.done():
            prefix = request.ended.result()
            if prefix is None:
                latency = (request.answered_at or sent_at) - sent_at
                self._health.on_answer(clock.now(), int(latency * 1000))
                return
        elif request.waits_for_auth:
            prefix = self._requests.on_auth_timeout()
        else:
            raise Unavailable(self._health.url, "no end of stored events", "silent")
        raise Refused(self._health.url, "it closed the subscription", prefix)

    async def _wait_once(self, ended: asyncio.Future[str | None]) -> None:
        """Wait for `eose_timeout`, and check the connection meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._endpoint.timing.eose_timeout
        while not ended.done() and loop.time() < until:
            await asyncio.wait([ended], timeout=self._endpoint.timing.poll_interval)
            self.check()

    async def _receive_event(self, subscription_id: str, text: str) -> None:
        self._traffic.accounting.add_message(text, subscription_id)
        try:
            event = sdk_client.decode_event(text)
        except msgspec.DecodeError:
            self._health.record_error("unusable", clock.now())
            return
        if not self._filters.match(subscription_id, event):
            self._traffic.accounting.add_unrequested(text)
        elif not self._requests.add_to_page(subscription_id, event):
            await self._on_event(event)

    def _receive_message(self, message: sdk.RelayMessage) -> None:
        self._traffic.accounting.add_message(message.as_json())
        match message.as_enum():
            case sdk.RelayMessageEnum.END_OF_STORED_EVENTS(subscription_id=subscription_id):
                self._requests.on_eose(subscription_id)
            case sdk.RelayMessageEnum.CLOSED(subscription_id=subscription_id, message=reason):
                self._receive_closed(subscription_id, closed_prefix(reason))
            case sdk.RelayMessageEnum.NOTICE():
                self._health.record_error("notice", clock.now())
            case sdk.RelayMessageEnum.AUTH():
                self._requests.on_auth_offered()
            case _:
                pass

    def _receive_closed(self, subscription_id: str, prefix: str) -> None:
        was_waiting = self._requests.on_closed(subscription_id, prefix)
        if not was_waiting and subscription_id.startswith(LIVE_PREFIX):
            self._filters.end(subscription_id)
            self.closed[subscription_id] = prefix
            self._work_available.set()

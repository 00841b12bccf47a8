"""The live connection to a relay: hears events without loss, and can tell EOSE from CLOSED.

Events come through the admit policy, which holds the relay back while we are busy. It rejects
every one, so that the notifications carry only EOSE, CLOSED and the like. `next()` is never
cancelled: its task ends by itself after the shutdown (nostr-sdk.md 4.1, 4.4).

An event is taken on the library's thread when there is room, and goes on from there on our loop:
so the relay need not wait for our loop's turn each time (sdk_patch.py). All that came before an
EOSE is poured out before the EOSE is heard.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec
import nostr_sdk as sdk

from raised import clock
from raised.domain.event import Event, event_json
from raised.errors import Refused, SourceError, Unavailable
from raised.nostr import sdk_client, sdk_patch
from raised.nostr.filter_match import Subscriptions
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth

UNUSABLE_MAX: Final = 256_000_000  # bytes in one connection that were nothing; then it is cut
ARRIVED_MAX: Final = 1_000  # events taken and not yet looked at; then the relay waits
ANSWER_TIMES: Final = 20  # so much longer than usual may an answer take
PAGE_MAX: Final = 5_000  # events kept of an answer; what more comes goes the live way

_numbers: Final = itertools.count(1)


@dataclass(slots=True)
class Question:
    """A REQ on its way: what came, and how it ended. Only a page keeps its events for itself."""

    ended: asyncio.Future[str | None]  # None: EOSE; else the prefix of a CLOSED
    is_page: bool
    events: list[Event] = field(default_factory=list[Event])
    count: int = 0
    wants_auth: bool = False
    first_at: float | None = None  # of any answer, by the loop's clock


class _Sink(sdk.AdmitPolicy):  # type: ignore[misc]  # the library comes without types
    """Takes each event out of the library's hands. Never raises: that would drop the event.

    `take` may be called on any thread and says whether there was room; `receive` waits for it.
    """

    def __init__(
        self,
        take: Callable[[str, str], bool] | None,
        receive: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._take = take
        self._receive = receive
        self._accept = sdk.AdmitStatus.success()
        self._drop = sdk.AdmitStatus.rejected()

    async def admit_connection(self, relay_url: sdk.RelayUrl) -> sdk.AdmitStatus:  # noqa: ARG002
        return self._accept

    def admit_event(
        self,
        relay_url: sdk.RelayUrl,  # noqa: ARG002 - a client has one relay
        subscription_id: str,
        event: sdk.Event,
    ) -> object:
        """A status, or a coroutine that ends in one."""
        text = event.as_json()
        if self._take is not None and self._take(subscription_id, text):
            return self._drop
        return self._wait(subscription_id, text)

    async def _wait(self, subscription_id: str, text: str) -> sdk.AdmitStatus:
        await self._receive(subscription_id, text)
        return self._drop


class Line:
    """One connection, from `connect` to `close`. `put` takes every event that comes."""

    def __init__(
        self,
        endpoint: sdk_client.RelayEndpoint,
        health: RelayHealth,
        put: Callable[[Event], Awaitable[None]],
        news: asyncio.Event,
    ) -> None:
        self._news = news  # set when something happened that is worth a look
        self.closed: dict[str, str] = {}  # live subscription → prefix of the CLOSED that ended it
        self._endpoint = endpoint
        self._health = health
        self._put = put
        self._has_key = endpoint.settings.auth_key_file is not None
        self._loop = asyncio.get_running_loop()
        take = self._take if sdk_patch.answer_at_once() else None
        self._client = endpoint.client(_Sink(take, self._receive))
        self._arrived: deque[tuple[str, str]] = deque()
        self._arrival = asyncio.Event()
        self._is_closed = False
        self._is_announced = False  # the arrival, to our loop
        self._relay: sdk.Relay | None = None
        self._account = sdk_client.Account()
        self._subscriptions = Subscriptions()
        self._receiving = 0
        self._received = 0
        self._received_at = 0.0
        self._questions: dict[str, Question] = {}

    async def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Open the connection. Raises Unavailable with the reason as its code."""
        tasks.create_task(self._hear(self._client.notifications()))
        tasks.create_task(self._follow_arrivals())
        self._relay = await self._endpoint.connect(self._client)
        self._received_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """End it. What has arrived goes on its way, as far as there is room soon."""
        await sdk_client.close_client(self._client)
        # Else they keep each other for ever: the client its policy, the policy us, and we both.
        del self._client
        self._relay = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._endpoint.timing.drain):
                await self._pour()
        self._is_closed = True
        self._arrival.set()

    def check(self) -> None:
        """Raise Unavailable when the connection is gone, or not worth having."""
        if self._relay is None or self._relay.status() != sdk.RelayStatus.CONNECTED:
            raise Unavailable(self._health.url, "the connection broke", "lost")
        self._check_bytes(self._relay.stats().bytes_received())

    def quiet_seconds(self) -> float:
        """For how long nothing at all has come."""
        return asyncio.get_running_loop().time() - self._received_at

    async def subscribe(self, name: str, filters: Sequence[Filter]) -> None:
        """Have a live subscription with these filters, under a name that is new here.

        Raises Unavailable when the relay stays silent; Refused, with the prefix as its code, when
        it closes the subscription.
        """
        await self._ask(name, filters, None)

    async def unsubscribe(self, name: str) -> None:
        """Have no subscription of this name."""
        self.closed.pop(name, None)
        self._subscriptions.end(name)
        await self._client.unsubscribe(name)

    async def page(self, asked: Filter) -> Sequence[Event]:
        """The stored events that match: all that the relay gives.

        Raises as `subscribe` does.
        """
        once = sdk.SubscribeAutoCloseOptions().exit_policy(sdk.ReqExitPolicy.EXIT_ON_EOSE())
        return await self._ask(f"ask-{next(_numbers)}", [asked], once)

    async def write(self, event: Event) -> None:
        """Give the relay an event. Raises Refused."""
        assert self._relay is not None, "connect comes first"
        try:
            await self._relay.send_event(
                sdk.Event.from_json(event_json(event)),
                ok_timeout=timedelta(seconds=self._endpoint.timing.answer),
            )
        except sdk.NostrSdkError as error:
            raise Refused(self._health.url, "it did not take an event", "not_written") from error

    async def _ask(
        self, name: str, filters: Sequence[Filter], once: sdk.SubscribeAutoCloseOptions | None
    ) -> Sequence[Event]:
        question = Question(asyncio.get_running_loop().create_future(), once is not None)
        self._questions[name] = question
        self._subscriptions.begin(name, filters)
        try:
            wanted = [sdk_client.library_filter(each) for each in filters]
            target = sdk.ReqTarget.single(self._endpoint.url, wanted)
            out = await self._client.subscribe(target, id=name, close_on=once)
            if out.failed:
                raise Unavailable(self._health.url, "the question was not sent", "lost")
            await self._ended(question)
        except SourceError:
            self._subscriptions.end(name)
            for event in question.events:  # no answer, but good events
                await self._put(event)
            raise
        finally:
            del self._questions[name]
            if once is not None:
                self._subscriptions.end(name)
        return question.events

    async def _ended(self, question: Question) -> None:
        """Wait for the EOSE as long as anything keeps coming, but not for ever."""
        began = asyncio.get_running_loop().time()
        for _ in range(ANSWER_TIMES):
            received = self._received
            await self._wait(question.ended)
            busy = self._receiving or self._arrived  # then it is us who keep the relay waiting
            if question.ended.done() or (received == self._received and not busy):
                break
        if question.ended.done():
            prefix = question.ended.result()
            if prefix is None:
                latency = (question.first_at or began) - began
                self._health.on_answer(clock.now(), int(latency * 1000))
                return
        elif question.wants_auth:
            prefix, self._health.auth = "auth-required", "refused"
        else:
            raise Unavailable(self._health.url, "no end of stored events", "silent")
        raise Refused(self._health.url, "it closed the subscription", prefix)

    async def _wait(self, ended: asyncio.Future[str | None]) -> None:
        """Wait one answer's time, looking at the connection meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._endpoint.timing.answer
        while not ended.done() and loop.time() < until:
            await asyncio.wait([ended], timeout=self._endpoint.timing.poll)
            self.check()

    def _take(self, subscription_id: str, text: str) -> bool:
        """On the library's thread."""
        if len(self._arrived) >= ARRIVED_MAX:
            return False
        self._arrived.append((subscription_id, text))
        if not self._is_announced:
            self._is_announced = True
            self._loop.call_soon_threadsafe(self._arrival.set)
        return True

    async def _follow_arrivals(self) -> None:
        while not self._is_closed:
            await self._arrival.wait()
            self._arrival.clear()
            self._is_announced = False
            await self._pour()

    async def _pour(self) -> None:
        while self._arrived:
            await self._receive(*self._arrived.popleft())

    async def _receive(self, subscription_id: str, text: str) -> None:
        self._receiving += 1
        try:
            self._account.explain(text, subscription_id)
            event = sdk_client.decode_event(text)
            if not self._subscriptions.wanted(subscription_id, event):
                self._account.refuse(text)
            elif not self._is_for_a_page(subscription_id, event):
                await self._put(event)
        except msgspec.DecodeError:
            self._health.record_error("unusable", clock.now())
        finally:
            self._receiving -= 1

    def _is_for_a_page(self, subscription_id: str, event: Event) -> bool:
        """Keep it for the page that it belongs to. What is beyond all measure, or comes after the
        EOSE, goes the live way; but an event just after it may not be told from one before.
        """
        question = self._questions.get(subscription_id)
        if question is None or question.ended.done():
            return False
        self._answered(question)
        question.count += 1
        if not question.is_page or question.count > PAGE_MAX:
            return False
        question.events.append(event)
        return True

    def _answered(self, question: Question) -> None:
        if question.first_at is None:
            question.first_at = asyncio.get_running_loop().time()

    def _check_bytes(self, received: int) -> None:
        now = asyncio.get_running_loop().time()
        if received != self._received:
            self._received, self._received_at = received, now
            if self._account.surplus(received) > UNUSABLE_MAX:
                raise Unavailable(self._health.url, "far too much unusable data", "cut_off")
        elif (
            not self._receiving
            and not self._arrived
            and now - self._received_at >= self._endpoint.timing.settle
        ):
            self._health.record_unusable(self._account.settle(received), clock.now())

    async def _hear(self, notifications: sdk.ClientNotificationStream) -> None:
        while (notification := await notifications.next()) is not None:
            if isinstance(notification, sdk.ClientNotification.MESSAGE):
                await self._pour()
                self._account.explain(notification.message.as_json())
                self._note(notification.message.as_enum())

    def _note(self, message: sdk.RelayMessageEnum) -> None:
        match message:
            case sdk.RelayMessageEnum.END_OF_STORED_EVENTS(subscription_id=name):
                self._end(name, None)
            case sdk.RelayMessageEnum.CLOSED(subscription_id=name, message=reason):
                self._end(name, _prefix(reason))
            case sdk.RelayMessageEnum.NOTICE():
                self._health.record_error("notice", clock.now())
            case sdk.RelayMessageEnum.AUTH():
                self._health.auth = self._health.auth or "offered"
            case _:
                pass

    def _end(self, name: str, prefix: str | None) -> None:
        question = self._questions.get(name)
        if prefix == "auth-required":
            self._health.auth = "asked" if self._has_key else "wanted"
            if question is not None and self._has_key:
                question.wants_auth = True
                return  # the library authenticates and repeats the REQ; if not, no EOSE comes
        if prefix is None and self._health.auth == "asked":
            self._health.auth = "ok"
        if question is not None and not question.ended.done():
            self._answered(question)
            question.ended.set_result(prefix)
        elif prefix is not None and name.startswith("live-"):
            self._subscriptions.end(name)
            self.closed[name] = prefix
            self._news.set()


def _prefix(reason: str) -> str:
    """The machine-readable word before the colon; anything else is not repeated."""
    word = reason.split(":", 1)[0]
    return word if word in _PREFIXES else "error"


_PREFIXES: Final = frozenset(
    {
        "auth-required", "blocked", "duplicate", "error", "invalid", "pow", "rate-limited",
        "restricted", "unsupported",
    }
)  # fmt: skip

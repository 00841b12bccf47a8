"""Posting webhooks: one queue for each, in order, in memory. Source: docs/btcpay.md 7.2, 7.4."""

import asyncio
import hashlib
import hmac
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Final

import httpx

from raised_simnet.btcpay.id_generator import IdGenerator
from raised_simnet.btcpay.webhook import Delivery, Webhook
from raised_simnet.btcpay.webhook_event import DeliveryEnvelope, Event, body_of
from raised_simnet.http.http_server import LoopThread

WAITS: Final = (10, 60, *([600] * 6))  # seconds between the nine attempts
_RETRIED: Final = frozenset({408, 429})
_PATIENCE_SECONDS: Final = 100.0
_HELD_SECONDS: Final = 0.02


@dataclass(slots=True)
class PendingDelivery:
    """An event on its way. `queued`: on the machine's own clock, which nobody sets."""

    event: Event
    envelope: DeliveryEnvelope
    attempt: int = 0
    queued: float = field(default_factory=time.monotonic)

    def opened(self, delivery_id: str) -> "PendingDelivery":
        """The next attempt at it."""
        old = self.envelope
        again = DeliveryEnvelope(delivery_id, old.webhook_id, old.original_id, old.timestamp)
        return PendingDelivery(self.event, again, self.attempt + 1, self.queued)


class WebhookSender:
    """Sends what is queued. Runs in a thread of its own; every method may be called from any.

    `time_scale`: what the waits between attempts are multiplied with. `retries_all`: versions
    before 2.3.4 repeat whatever was not answered with 2xx.
    """

    def __init__(
        self, namer: IdGenerator, version: str, *, time_scale: float, retries_all: bool, seed: str
    ) -> None:
        self._namer = namer
        self._agent = f"BTCPayServer/{version}"
        self._scale = time_scale
        self._retries_all = retries_all
        self._dice = Random(seed)
        self._lock = threading.RLock()
        self._queues: dict[str, deque[PendingDelivery]] = {}
        self._epochs: Counter[str] = Counter()
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._out: set[str] = set()
        self._thread = LoopThread("simnet btcpay post")
        self._client: httpx.AsyncClient

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._thread.call(self._open())

    def stop(self) -> None:
        """End; what was queued is gone."""
        self.forget()
        self._thread.call(self._client.aclose())
        self._thread.stop()

    async def _open(self) -> None:
        self._client = httpx.AsyncClient(
            follow_redirects=True,
            trust_env=False,
            verify=False,  # noqa: S501 - loopback has no certificates
            timeout=_PATIENCE_SECONDS,
        )

    def send(self, hook: Webhook, event: Event, timestamp: int) -> None:
        """Queue an event, if the webhook wants it."""
        if not hook.wants(event.type):
            return
        if hook.faults.lose:
            hook.faults.lose -= 1
            return
        delivery_id = self._namer.next()
        self._queue(
            hook,
            PendingDelivery(event, DeliveryEnvelope(delivery_id, hook.id, delivery_id, timestamp)),
        )

    def again(self, hook: Webhook, delivery: Delivery) -> str:
        """Queue what was delivered before, because somebody asks for it; the new id."""
        delivery_id = self._namer.next()
        envelope = DeliveryEnvelope(delivery_id, hook.id, delivery.original_id, delivery.timestamp)
        self._queue(hook, PendingDelivery(delivery.event, envelope))
        return delivery_id

    def _queue(self, hook: Webhook, parcel: PendingDelivery) -> None:
        with self._lock:
            self._queues.setdefault(hook.id, deque()).append(parcel)
        self._thread.call(self._work_at(hook))

    async def _work_at(self, hook: Webhook) -> None:
        """Let somebody work at this queue, unless somebody does."""
        worker = self._workers.get(hook.id)
        if worker is None or worker.done():
            loop = asyncio.get_running_loop()
            self._workers[hook.id] = loop.create_task(self._empty(hook))

    def forget(self, hook_id: str | None = None) -> None:
        """Drop what is queued and what would be retried: of one webhook, or as a restart does."""
        with self._lock:
            for name in [hook_id] if hook_id else list(self._queues):
                self._epochs[name] += 1
                self._queues.get(name, deque()).clear()

    def waiting(self, hook_id: str | None = None) -> int:
        """How many events are neither delivered nor given up."""
        with self._lock:
            chosen = [hook_id] if hook_id else list(self._queues)
            return sum(len(self._queues.get(name, ())) + (name in self._out) for name in chosen)

    async def _empty(self, hook: Webhook) -> None:
        """Deliver one by one until nothing is left."""
        while (taken := self._next(hook)) is not None:
            parcel, epoch = taken
            try:
                while hook.faults.hold:  # noqa: ASYNC110 - a switch for any thread
                    await asyncio.sleep(_HELD_SECONDS)
                await self._deliver(hook, parcel, epoch)
            finally:
                self._out.discard(hook.id)

    def _next(self, hook: Webhook) -> tuple[PendingDelivery, int] | None:
        """The next one, and how many restarts there were before it was taken."""
        with self._lock:
            queue = self._queues[hook.id]
            if not queue:
                return None
            if hook.faults.shuffle:
                queue.rotate(-self._dice.randrange(len(queue)))
            self._out.add(hook.id)
            return queue.popleft(), self._epochs[hook.id]

    async def _deliver(self, hook: Webhook, parcel: PendingDelivery, epoch: int) -> None:
        """All attempts at one event; whatever follows waits. A restart ends it."""
        while epoch == self._epochs[hook.id]:
            delivery = await self._attempt(hook, parcel)
            if not self._shall_repeat(hook, delivery, parcel.attempt):
                return
            await asyncio.sleep(WAITS[parcel.attempt] * self._scale)
            parcel = parcel.opened(self._namer.next())

    def _shall_repeat(self, hook: Webhook, delivery: Delivery, attempt: int) -> bool:
        code = delivery.code
        if not hook.enabled or not hook.retries or attempt >= len(WAITS):
            return False
        if code is None or code >= 500 or code in _RETRIED:
            return True
        return self._retries_all and not 200 <= code < 300

    async def _attempt(self, hook: Webhook, parcel: PendingDelivery) -> Delivery:
        if hook.faults.delay_seconds:
            await asyncio.sleep(hook.faults.delay_seconds)
        body = body_of(parcel.event, parcel.envelope)
        code, error = await self._post(hook, body)
        if hook.faults.twice:
            await self._post(hook, body)
        envelope = parcel.envelope
        sent_at = envelope.timestamp + int(time.monotonic() - parcel.queued)
        ids = (envelope.id, envelope.original_id)
        delivery = Delivery(*ids, envelope.timestamp, sent_at, code, error, parcel.event, body)
        hook.deliveries.append(delivery)
        return delivery

    async def _post(self, hook: Webhook, body: bytes) -> tuple[int | None, str | None]:
        digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "BTCPay-Sig": f"sha256={digest}",
            "User-Agent": self._agent,
        }
        try:
            response = await self._client.post(hook.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            where = httpx.URL(hook.url)
            return None, f"{error or type(error).__name__} ({where.host}:{where.port})"
        failed = not response.is_success
        return response.status_code, f"HTTP Error Code {response.status_code}" if failed else None

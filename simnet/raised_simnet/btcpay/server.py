"""A BTCPay Server on loopback: real HTTP, real webhooks, real coins, faults on demand."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from random import Random
from typing import Final

from raised.clock import now
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_request import ApiRequest
from raised_simnet.btcpay.api_version import V2_4_1, ApiVersion
from raised_simnet.btcpay.backend import Backend, Clock
from raised_simnet.btcpay.error_responses import NO_ROUTE
from raised_simnet.btcpay.faults import ApiFaults
from raised_simnet.btcpay.id_generator import IdGenerator, hex_id
from raised_simnet.btcpay.invoice_routes import INVOICE_ROUTES
from raised_simnet.btcpay.permission import READ, ApiKey
from raised_simnet.btcpay.server_routes import ROUTES
from raised_simnet.btcpay.store import Store
from raised_simnet.btcpay.webhook import Webhook
from raised_simnet.btcpay.webhook_event import Event
from raised_simnet.btcpay.webhook_routes import HOOK_ROUTES
from raised_simnet.btcpay.webhook_sender import WebhookSender
from raised_simnet.http.http_server import Request, Response, WebServer
from raised_simnet.http.url_routing import HttpError, RouteMatch

BASE: Final = "/api/v1/"
HUNDREDTH: Final = 0.01
_REMEMBERED: Final = 10_000
_POLL_SECONDS: Final = 0.01


class BTCPayServer:
    """One server. `office` is where actors order, pay and mark; `look` lets it see the chain.

    `counts`: requests by route; `recent_paths`: the newest with their query, oldest first.
    `trouble` befalls requests and may be changed at any time: `trouble = Trouble()` heals.
    `time_scale`: what the waits between webhook retries (10 s, 1 min, 6 × 10 min) are multiplied
    with. `retries_all`: as before 2.3.4, whatever is not answered with 2xx.
    """

    def __init__(
        self,
        chain: RegtestChain,
        *,
        dialect: ApiVersion = V2_4_1,
        clock: Clock = now,
        seed: str = "btcpay",
        time_scale: float = HUNDREDTH,
    ) -> None:
        self.office = Backend(chain, dialect, clock, self._tell, seed)
        self.trouble = ApiFaults()
        self.counts: Counter[str] = Counter()
        self.recent_paths: deque[str] = deque(maxlen=_REMEMBERED)
        self._seed = seed
        self._keys: dict[str, ApiKey] = {}
        self._dice = Random(seed)
        self._running = True
        self.webhook_sender = WebhookSender(
            IdGenerator(f"{seed} delivery"),
            dialect.version,
            time_scale=time_scale,
            retries_all=dialect.old,
            seed=seed,
        )
        self._web = WebServer(self._answer)

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return self._web.url

    def start(self) -> None:
        """Listen."""
        self._web.start()
        self.office.host = self.url
        self.webhook_sender.start()

    def stop(self) -> None:
        """End for good."""
        self.webhook_sender.stop()
        self._web.stop()

    def down(self) -> None:
        """Let the process end: no answers, no looking at the chain, the queue is lost."""
        self._running = False
        self.webhook_sender.forget()
        self._web.refuse(refuse=True)

    def up(self) -> None:
        """Let it run again, with what it had stored."""
        self._web.refuse(refuse=False)
        self._running = True
        self.office.catch_up()

    def restart(self) -> None:
        """What was queued and what would be retried is gone without trace."""
        self.down()
        self.up()

    def unreachable(self, *, unreachable: bool) -> None:
        """Let nobody connect while it runs on."""
        self._web.refuse(refuse=unreachable)

    def look(self) -> None:
        """See what is new on the chain and on the clock, and tell."""
        if self._running:
            self.office.look()

    def key(self, store: Store, policies: Sequence[str] = READ, label: str = "raised") -> ApiKey:
        """A new key that may do this in one store."""
        permissions = tuple(f"{policy}:{store.id}" for policy in policies)
        return self.add_key(label, permissions)

    def add_key(self, label: str, permissions: Sequence[str]) -> ApiKey:
        """A new key with permissions as they are written."""
        key = ApiKey(hex_id(f"{self._seed} key {len(self._keys)}"), label, tuple(permissions))
        self._keys[key.key] = key
        return key

    def revoke(self, key: ApiKey) -> None:
        """Nobody knows it any more."""
        del self._keys[key.key]

    def add_hook(
        self, store: Store, url: str, secret: str, wanted: Sequence[str] | None = None
    ) -> Webhook:
        """A webhook made in the server's own pages."""
        events = None if wanted is None else tuple(wanted)
        hook = Webhook(self.office.new_id(), store.id, url, secret, wanted=events)
        store.hooks[hook.id] = hook
        return hook

    def prune(self, hook: Webhook) -> None:
        """Empty the bodies of all its deliveries, as after 60 days."""
        for delivery in hook.deliveries:
            delivery.body = None

    def drained(self, seconds: float = 60) -> bool:
        """Whether every event was delivered or given up in time. Blocks the asking thread."""
        end = time.monotonic() + seconds
        while self.webhook_sender.waiting():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def forget(self) -> None:
        """Count from zero again."""
        self.counts.clear()
        self.recent_paths.clear()

    def _tell(self, event: Event) -> None:
        if not self._running:
            return
        for hook in list(self.office.stores[event.store_id].hooks.values()):
            self.webhook_sender.send(hook, event, self.office.now())

    async def _answer(self, request: Request) -> Response:
        match = self._find(request)
        if match is None:
            return NO_ROUTE
        self.counts[match.name] += 1
        self.recent_paths.append(request.target)
        trouble = self.trouble
        struck = trouble.strikes(match.name)
        if struck and trouble.delay_seconds:
            await asyncio.sleep(trouble.delay_seconds)
        response = self._honest(match, request)
        is_spoilt = struck and trouble.spoils(request.target, response.body)
        return trouble.instead(response) if is_spoilt else response

    def _find(self, request: Request) -> RouteMatch[ApiRequest] | None:
        if not request.path.startswith(BASE):
            return None
        path = request.path[len(BASE) :]
        routers = (ROUTES, INVOICE_ROUTES, HOOK_ROUTES)
        matches = (router.find(request.method, path) for router in routers)
        return next((match for match in matches if match is not None), None)

    def _honest(self, match: RouteMatch[ApiRequest], request: Request) -> Response:
        parsed = ApiRequest(
            self.office, self.webhook_sender, self._keys, self._dice, match.params, request
        )
        with self.office.lock:
            try:
                return match.answer(parsed)
            except HttpError as refusal:
                return refusal.response

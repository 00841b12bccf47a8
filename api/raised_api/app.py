"""The application: everything put together, and its life."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ControllerRouterHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.config.load import Environment
from raised.db.engine import open_reader, open_writer
from raised.db.requests.inbox import open_adder
from raised.errors import RecordReplaced
from raised_api.http.auth import ApiKeyCache, is_public
from raised_api.http.cors import CorsMiddleware
from raised_api.http.endpoint import BASE
from raised_api.http.key_uses import KeyUses
from raised_api.http.metrics import Metrics, MetricsMiddleware
from raised_api.http.middleware import AccessMiddleware, HeadMiddleware
from raised_api.http.problems import problem_response
from raised_api.http.rate_limit import RateLimiter
from raised_api.http.refused_keys import RefusedKeys
from raised_api.http.request_context import ContextProvider
from raised_api.http.response_cache import (
    CachedResponseMiddleware,
    ResponseCache,
    ResponseCacheMiddleware,
)
from raised_api.http.webhook_secrets import WebhookSecrets
from raised_api.http.write_probe import WriteProbe
from raised_api.openapi.docs_page import openapi_handlers
from raised_api.openapi.document import build_document
from raised_api.routes.campaigns import CAMPAIGNS
from raised_api.routes.changes import CHANGES
from raised_api.routes.dashboard import page_handlers
from raised_api.routes.deliveries import DELIVERIES
from raised_api.routes.evidence import EVIDENCE
from raised_api.routes.health import health_handlers
from raised_api.routes.investments import INVESTMENTS
from raised_api.routes.invoices import INVOICES
from raised_api.routes.metrics import metrics_handler
from raised_api.routes.movements import MOVEMENTS
from raised_api.routes.problems import PROBLEMS
from raised_api.routes.projects import PROJECTS
from raised_api.routes.refresh import refresh_handler
from raised_api.routes.series import SERIES
from raised_api.routes.sources import SOURCES
from raised_api.routes.summary import SUMMARY
from raised_api.stream.feed import Feed
from raised_api.stream.server_sent_events import PATH as STREAM
from raised_api.stream.server_sent_events import stream_handler
from raised_api.totals.hourly_totals import HourlyTotals
from raised_api.webhooks.delivery_store import DeliveryStore
from raised_api.webhooks.receiver import WebhookMiddleware

HANDLERS: tuple[HTTPRouteHandler, ...] = (
    *SUMMARY,
    *SERIES,
    *PROJECTS,
    *EVIDENCE,
    *INVESTMENTS,
    *MOVEMENTS,
    *CAMPAIGNS,
    *SOURCES,
    *PROBLEMS,
    *INVOICES,
    *DELIVERIES,
    *CHANGES,
)


@dataclass(frozen=True, slots=True)
class _Services:
    """What handlers and middleware share."""

    environment: Environment
    clock: Callable[[], int]
    engine: AsyncEngine
    writer: AsyncEngine
    feed: Feed
    cache: ResponseCache
    metrics: Metrics
    api_keys: ApiKeyCache
    key_uses: KeyUses
    deliveries: DeliveryStore
    secrets: WebhookSecrets
    probe: WriteProbe


def create_app(
    environment: Environment,
    clock: Callable[[], int],
    stop: asyncio.Event,
    *,
    ping_seconds: float = 15.0,
    on_read: Callable[[], object] = lambda: None,
    on_replaced: Callable[[RecordReplaced], object] = lambda _error: None,
) -> ASGIApp:
    """The API over the record of this environment. Streams end when `stop` is set.

    `ping_seconds`: proxies close a stream on which nothing is sent for a minute. `on_read` is
    called each time the record has answered, many times a second; `on_replaced` when it is not the
    one that was opened any more, which sets `stop`.
    """
    engine = open_reader(environment.database_url)
    writer = open_writer(environment.database_url)
    adder = open_adder(environment.database_url)
    feed = Feed(engine, ping_seconds, on_read, on_replaced)
    key_uses = KeyUses(writer, clock)
    public = is_public(environment)
    services = _Services(
        environment=environment,
        clock=clock,
        engine=engine,
        writer=writer,
        feed=feed,
        cache=ResponseCache(feed.version, clock),
        metrics=_metrics(feed),
        api_keys=ApiKeyCache(engine, is_public=public, on_use=key_uses.note),
        key_uses=key_uses,
        deliveries=DeliveryStore(writer, adder, clock),
        secrets=WebhookSecrets.of(environment),
        probe=WriteProbe(adder, clock),
    )
    return _with_middleware(_litestar(services, stop), services)


def _litestar(services: _Services, stop: asyncio.Event) -> Litestar:
    hourly_totals = HourlyTotals()
    contexts = ContextProvider(
        services.engine, services.clock, services.secrets, on_restored=hourly_totals.clear
    )
    return Litestar(
        route_handlers=_route_handlers(services),
        # Of the application, since Litestar makes deep copies of routers with all that they hold.
        dependencies={
            "context": Provide(contexts.provide),
            "hourly_totals": Provide(lambda: hourly_totals, sync_to_thread=False),
        },
        exception_handlers={Exception: problem_response},
        lifespan=[lambda _app: _run(services, stop)],
        openapi_config=None,
        logging_config=None,
    )


def _route_handlers(services: _Services) -> list[ControllerRouterHandler]:
    environment, cache = services.environment, services.cache
    return [
        Router(
            BASE,
            # Copies, since Litestar writes into a handler which application it is of.
            route_handlers=[copy(handler) for handler in HANDLERS],
            middleware=[lambda app: ResponseCacheMiddleware(app, cache)],
        ),
        stream_handler(services.feed, services.api_keys),
        refresh_handler(services.writer, services.clock),
        *health_handlers(services.engine, services.clock, services.secrets, services.probe),
        metrics_handler(services.metrics, environment.trusted_proxies),
        *openapi_handlers(lambda: build_document(HANDLERS, environment.public_url)),
        *page_handlers(),
    ]


def _with_middleware(app: ASGIApp, services: _Services) -> ASGIApp:
    """From the inside to the outside: a request passes the last one first."""
    environment, clock = services.environment, services.clock
    app = CachedResponseMiddleware(
        app,
        services.cache,
        prefix=BASE,
        on_hit=services.metrics.count_cached,
    )
    limiter = RateLimiter(environment.rate_limit)
    refused_keys = RefusedKeys(services.metrics.count_refused_key)
    app = AccessMiddleware(
        app, services.api_keys, limiter, refused_keys, clock, environment.trusted_proxies
    )
    if environment.cors_origins:
        app = CorsMiddleware(app, environment.cors_origins)
    # Outside of keys and quotas: BTCPay Server has neither, and its deliveries must not be refused.
    app = WebhookMiddleware(
        app, services.secrets, services.deliveries, clock, environment.trusted_proxies
    )
    app = MetricsMiddleware(app, services.metrics, excluded={STREAM})
    return HeadMiddleware(app, excluded={STREAM})


@asynccontextmanager
async def _run(services: _Services, stop: asyncio.Event) -> AsyncIterator[None]:
    """Follow the record while the application runs; a failure of the follower ends the process."""
    feed = services.feed
    try:
        await feed.start()
        async with services.deliveries.running(), asyncio.TaskGroup() as group:
            following = group.create_task(feed.follow(), name="feed")
            following.add_done_callback(lambda _done: stop.set())
            closing = group.create_task(_close_at(stop, feed), name="close")
            storing = group.create_task(services.key_uses.follow(), name="key uses")
            yield
            feed.close()
            closing.cancel()
            storing.cancel()
            await services.key_uses.store()
    finally:
        await services.engine.dispose()
        await services.writer.dispose()


async def _close_at(stop: asyncio.Event, feed: Feed) -> None:
    await stop.wait()
    feed.close()


def _metrics(feed: Feed) -> Metrics:
    metrics = Metrics()
    metrics.gauge("raised_api_stream_readers", "Open streams.", lambda: feed.readers)
    metrics.gauge("raised_api_record_available", "Is the database there?", lambda: feed.available)
    metrics.gauge("raised_record_seq", "The newest change.", lambda: feed.seq)
    metrics.gauge("raised_record_tip_height", "The newest block.", lambda: feed.as_of.height)
    metrics.gauge(
        "raised_daemon_seen_timestamp_seconds",
        "When the daemon last said that it lives.",
        lambda: feed.as_of.seen_at,
    )
    return metrics

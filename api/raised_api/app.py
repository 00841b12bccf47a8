"""The application: everything put together, and its life."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.config.load import Environment
from raised.db.engine import open_reader, open_writer
from raised.db.requests.inbox import open_adder
from raised_api.http.auth import ApiKeyCache, is_public
from raised_api.http.endpoint import BASE
from raised_api.http.metrics import Metrics, MetricsMiddleware
from raised_api.http.middleware import AccessMiddleware, HeadMiddleware
from raised_api.http.problems import problem_response
from raised_api.http.rate_limit import RateLimiter
from raised_api.http.request_context import ContextProvider
from raised_api.http.response_cache import (
    CachedResponseMiddleware,
    ResponseCache,
    ResponseCacheMiddleware,
)
from raised_api.openapi.document import build_document
from raised_api.openapi.page import openapi_handlers
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
    *INVOICES,
    *DELIVERIES,
    *CHANGES,
)


def create_app(
    environment: Environment,
    clock: Callable[[], int],
    stop: asyncio.Event,
    *,
    ping_seconds: float = 15.0,
    on_read: Callable[[], object] = lambda: None,
) -> ASGIApp:
    """The API over the record of this environment. Streams end when `stop` is set.

    `ping_seconds`: proxies close a stream on which nothing is sent for a minute. `on_read` is
    called each time the record has answered, many times a second.
    """
    engine = open_reader(environment.database_url)
    writer = open_writer(environment.database_url)
    feed = Feed(engine, ping_seconds, on_read)
    cache = ResponseCache(feed.version, clock)
    metrics = _metrics(feed)
    api_keys = ApiKeyCache(engine, is_public=is_public(environment))
    deliveries = DeliveryStore(writer, open_adder(environment.database_url), clock)
    hourly_totals = HourlyTotals()
    contexts = ContextProvider(engine, clock, on_restored=hourly_totals.clear)
    app = Litestar(
        route_handlers=[
            Router(
                BASE,
                # Copies, since Litestar writes into a handler which application it is of.
                route_handlers=[copy(handler) for handler in HANDLERS],
                middleware=[lambda app: ResponseCacheMiddleware(app, cache)],
            ),
            stream_handler(feed, api_keys),
            refresh_handler(writer, clock),
            *health_handlers(engine, clock),
            metrics_handler(metrics, environment.trusted_proxies),
            *openapi_handlers(build_document(HANDLERS, environment.public_url)),
            *page_handlers(),
        ],
        # Of the application, since Litestar makes deep copies of routers with all that they hold.
        dependencies={
            "context": Provide(contexts.provide),
            "hourly_totals": Provide(lambda: hourly_totals, sync_to_thread=False),
        },
        exception_handlers={Exception: problem_response},
        lifespan=[lambda _app: _run((engine, writer), feed, deliveries, stop)],
        cors_config=_cors(environment.cors_origins),
        openapi_config=None,
        logging_config=None,
    )
    cached = CachedResponseMiddleware(
        app,
        cache,
        prefix=BASE,
        on_hit=metrics.count_cached,
        is_cors_enabled=bool(environment.cors_origins),
    )
    limited = AccessMiddleware(
        cached,
        api_keys,
        RateLimiter(environment.rate_limit),
        clock,
        environment.trusted_proxies,
    )
    # Before keys and quotas: BTCPay Server sends neither key nor questions.
    receiving = WebhookMiddleware(
        limited, environment.webhook_secrets, deliveries, clock, environment.trusted_proxies
    )
    counted = MetricsMiddleware(receiving, metrics, excluded={STREAM})
    return HeadMiddleware(counted, excluded={STREAM})


@asynccontextmanager
async def _run(
    engines: Sequence[AsyncEngine], feed: Feed, deliveries: DeliveryStore, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Follow the record while the application runs; a failure of the follower ends the process."""
    try:
        await feed.start()
        async with deliveries.running(), asyncio.TaskGroup() as group:
            following = group.create_task(feed.follow(), name="feed")
            following.add_done_callback(lambda _done: stop.set())
            closing = group.create_task(_close_at(stop, feed), name="close")
            yield
            feed.close()
            closing.cancel()
    finally:
        for engine in engines:
            await engine.dispose()


async def _close_at(stop: asyncio.Event, feed: Feed) -> None:
    await stop.wait()
    feed.close()


def _cors(origins: Sequence[str]) -> CORSConfig | None:
    """What pages of these origins may do: read."""
    if not origins:
        return None
    quota = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET"],
        allow_headers=["authorization", "if-none-match", "last-event-id"],
        expose_headers=["etag", "retry-after", *quota],
    )


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

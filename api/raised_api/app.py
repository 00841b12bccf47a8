"""The application: everything put together, and its life."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.config.cors import CORSConfig
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.config.load import Environment
from raised.db.engine import open_reader, open_writer
from raised.db.requests.inbox import open_adder
from raised_api.http.auth import METRICS, ApiKeyCache, access_in, is_open
from raised_api.http.client_ip import client_address, is_loopback
from raised_api.http.metrics import MEDIA_TYPE as METRICS_TYPE
from raised_api.http.metrics import Metrics
from raised_api.http.middleware import Gate, is_known, question, ready_headers
from raised_api.http.parameters import parse_query
from raised_api.http.problems import Problem, problem_response
from raised_api.http.rate_limit import RateLimiter
from raised_api.http.response_cache import ResponseCache
from raised_api.http.route import Route
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
from raised_api.routes.movements import MOVEMENTS
from raised_api.routes.projects import PROJECTS
from raised_api.routes.refresh import refresh_handler
from raised_api.routes.series import SERIES
from raised_api.routes.sources import SOURCES
from raised_api.routes.summary import SUMMARY
from raised_api.stream.feed import Feed
from raised_api.stream.server_sent_events import stream_handler
from raised_api.webhooks.inbox import Inbox
from raised_api.webhooks.receiver import Webhooks

ROUTES: tuple[Route, ...] = (
    SUMMARY,
    *SERIES,
    *PROJECTS,
    EVIDENCE,
    *INVESTMENTS,
    *MOVEMENTS,
    *CAMPAIGNS,
    *SOURCES,
    *INVOICES,
    DELIVERIES,
    CHANGES,
)


def create_app(
    environment: Environment,
    clock: Callable[[], int],
    stop: asyncio.Event,
    *,
    ping_seconds: float = 15.0,
    looked: Callable[[], object] = lambda: None,
) -> Litestar:
    """The API over the record of this environment. Streams end when `stop` is set.

    `looked` is called each time the record has answered, many times a second.
    """
    engine = open_reader(environment.database_url)
    writer = open_writer(environment.database_url)
    trusted = environment.trusted_proxies
    feed = Feed(engine, ping_seconds, looked)
    answers = ResponseCache(engine, feed.stamp, clock)
    meter = Metrics(feed)
    keys = ApiKeyCache(engine, is_open=is_open(environment))
    inbox = Inbox(writer, open_adder(environment.database_url), clock)
    app = Litestar(
        route_handlers=[
            *(_handler(route, answers) for route in ROUTES),
            stream_handler(feed, keys),
            refresh_handler(writer, clock),
            *health_handlers(engine, clock),
            _metrics_handler(meter, trusted),
            *openapi_handlers(build_document(ROUTES, environment.public_url)),
            *page_handlers(),
        ],
        exception_handlers={Exception: problem_response},
        lifespan=[lambda _app: _living((engine, writer), feed, inbox, stop)],
        cors_config=_sharing(environment.cors_origins),
        openapi_config=None,
        logging_config=None,
    )
    gate = Gate(
        inner=app.asgi_handler,
        answers=answers,
        webhooks=Webhooks(environment.webhook_secrets, inbox, clock, trusted),
        keys=keys,
        limits=RateLimiter(environment.rate_limit),
        meter=meter,
        clock=clock,
        trusted=trusted,
        is_shared=bool(environment.cors_origins),
    )
    app.asgi_handler = gate
    return app


@asynccontextmanager
async def _living(
    engines: Sequence[AsyncEngine], feed: Feed, inbox: Inbox, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Follow the record while the application lives; a fault of the follower ends the process."""
    try:
        await feed.start()
        async with inbox.living(), asyncio.TaskGroup() as group:
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


def _sharing(origins: Sequence[str]) -> CORSConfig | None:
    """What pages of these origins may do: read."""
    if not origins:
        return None
    limits = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET"],
        allow_headers=["authorization", "if-none-match", "last-event-id"],
        expose_headers=["etag", "retry-after", *limits],
    )


def _handler(route: Route, answers: ResponseCache) -> HTTPRouteHandler:
    """Litestar's handler of a route."""

    @get(route.path.replace("}", ":str}"), name=route.name)
    async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
        scope, access = request.scope, access_in(request)
        access.require(route.scope)
        query = parse_query(route.parameters, scope["query_string"])
        path = {name: str(value) for name, value in request.path_params.items()}
        ready = await answers.read(route, question(scope, access), path, query)
        headers = {name.decode(): value.decode() for name, value in ready_headers(ready)}
        if is_known(scope, ready.etag):
            return Response(b"", status_code=304, headers=headers)
        return Response(ready.body, media_type="application/json", headers=headers)

    return answer


def _metrics_handler(meter: Metrics, trusted: tuple[str, ...]) -> HTTPRouteHandler:
    @get("/metrics", name="metrics")
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        from_here = is_loopback(client_address(request.scope, trusted))
        if not from_here and METRICS not in access_in(request).scopes:
            raise Problem(403, "Figures are for this machine; from elsewhere, the scope metrics.")
        return Response(meter.page(), media_type=METRICS_TYPE)

    return metrics

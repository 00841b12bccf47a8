"""The API's own metrics, for Prometheus."""

from collections.abc import Callable, Collection
from time import perf_counter
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE: Final = "text/plain; version=0.0.4"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.015, 0.05, 0.15, 0.5, 1.5, 5.0)


class Metrics:
    """Counts requests; everything else is read when it is asked for."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "raised_api_requests",
            "Answers given, by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "raised_api_request_seconds",
            "From question to whole answer, streams apart.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._labelled: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._refused_keys = Counter(
            "raised_api_refused_keys",
            "Requests with a key that opens nothing.",
            registry=self._registry,
        )
        self._cached = Counter(
            "raised_api_ready_answers", "Answers from ready bytes.", registry=self._registry
        )

    def gauge(self, name: str, about: str, read: Callable[[], float | None]) -> None:
        """Show a value that is read each time; nothing is 0."""
        Gauge(name, about, registry=self._registry).set_function(lambda: read() or 0)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a response. `route` is the path template, empty where there is none."""
        requests, duration = self._counters(route, status)
        requests.inc()
        duration.observe(seconds)

    def _counters(self, route: str, status: int) -> tuple[Counter, Histogram]:
        # Kept, since finding them by their labels takes longer than counting.
        key = route, status
        counters = self._labelled.get(key)
        if counters is None:
            counters = self._requests.labels(route, status), self._seconds.labels(route)
            self._labelled[key] = counters
        return counters

    def count_cached(self) -> None:
        """Count a response that came from the response cache."""
        self._cached.inc()

    def count_refused_key(self) -> None:
        """Count a request with a key that opens nothing."""
        self._refused_keys.inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Counts and times every request. `excluded`: paths whose response does not end."""

    def __init__(self, app: ASGIApp, metrics: Metrics, excluded: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._excluded = excluded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started_at, status = perf_counter(), 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, send_and_note_status)
        if scope["path"] not in self._excluded:
            route = scope.get("path_template", "")
            self._metrics.count(route, status, perf_counter() - started_at)

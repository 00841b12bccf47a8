"""The API's own figures, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from raised_api.stream.feed import Feed

MEDIA_TYPE = "text/plain; version=0.0.4"
_SECONDS = (0.001, 0.0025, 0.005, 0.015, 0.05, 0.15, 0.5, 1.5, 5.0)


class Metrics:
    """Counts what was asked, and reads the rest from the feed when it is asked for."""

    def __init__(self, feed: Feed) -> None:
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
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._ready = Counter(
            "raised_api_ready_answers", "Answers from ready bytes.", registry=self._registry
        )
        self._gauge("raised_api_stream_readers", "Open streams.", lambda: feed.readers)
        self._gauge("raised_api_record_available", "Is the database there?", lambda: feed.available)
        self._gauge("raised_record_seq", "The newest change.", lambda: feed.seq)
        self._gauge("raised_record_tip_height", "The newest block.", lambda: feed.as_of.height)
        self._gauge(
            "raised_daemon_seen_timestamp_seconds",
            "When the daemon last said that it lives.",
            lambda: feed.as_of.seen_at,
        )

    def _gauge(self, name: str, about: str, read: Callable[[], float | None]) -> None:
        Gauge(name, about, registry=self._registry).set_function(lambda: read() or 0)

    def count(self, route: str, status: int, seconds: float) -> None:
        """An answer was given."""
        requests, took = self._counters(route, status)
        requests.inc()
        took.observe(seconds)

    def _counters(self, route: str, status: int) -> tuple[Counter, Histogram]:
        """Kept, for to find them by their labels takes longer than to count."""
        key = route, status
        found = self._known.get(key)
        if found is None:
            found = self._requests.labels(route, status), self._seconds.labels(route)
            self._known[key] = found
        return found

    def count_ready(self) -> None:
        """An answer was given from ready bytes."""
        self._ready.inc()

    def page(self) -> bytes:
        """All figures in Prometheus' text form."""
        return generate_latest(self._registry)

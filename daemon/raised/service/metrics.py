"""What the daemon measures about itself, for Prometheus."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from raised.config.load import Bind
from raised.domain.observation import BlockSeen, Observation, SourceHealth, State, TipSeen
from raised.errors import ConfigError

REGISTRY = CollectorRegistry()

OBSERVATIONS = Counter(
    "raised_observations", "Observations committed to the record", ["kind"], registry=REGISTRY
)
COMMIT_SECONDS = Histogram(
    "raised_commit_seconds", "Time of one writing transaction", registry=REGISTRY
)
QUEUE_DEPTH = Gauge(
    "raised_queue_depth", "Observations that wait for the writer", registry=REGISTRY
)
TIP_HEIGHT = Gauge(
    "raised_tip_height", "Height of the newest block in the record", registry=REGISTRY
)
SOURCE_UP = Gauge(
    "raised_source_up", "1 ok, 0.5 degraded, 0 down", ["kind", "name"], registry=REGISTRY
)

_UP: Final[dict[State, float]] = {"ok": 1.0, "degraded": 0.5, "down": 0.0}


def measure_commit(batch: Sequence[Observation], seconds: float) -> None:
    """Count the observations of a commit, and its time."""
    COMMIT_SECONDS.observe(seconds)
    for observation in batch:
        OBSERVATIONS.labels(type(observation).__name__).inc()
        match observation:
            case BlockSeen(block=block) | TipSeen(block=block):
                TIP_HEIGHT.set(block.height)
            case SourceHealth(kind=kind, name=name, state=state):
                SOURCE_UP.labels(kind, name).set(_UP[state])
            case _:
                pass


def serve_metrics(bind: Bind) -> None:
    """Serve /metrics from a thread of its own until the process ends.

    Raises:
        ConfigError: the port is taken.
    """
    try:
        start_http_server(bind.port, addr=bind.host, registry=REGISTRY)
    except OSError as error:
        raise ConfigError(
            f"RAISED_METRICS_BIND: {bind.host}:{bind.port}: {error.strerror}"
        ) from error

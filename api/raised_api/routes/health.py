"""Health: alive; ready; and why not."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import reading
from raised.db.items.explorer_item import Explorer, explorer_items
from raised.db.items.instant import Time, instant
from raised.db.items.relay_item import Relay, relay_items
from raised.db.items.store_item import Store, store_items
from raised.db.queries.as_of import SourceState, read_as_of
from raised.db.queries.first_sync import Progress, read_readings, read_steps
from raised.db.stored_settings import read_stored_settings
from raised.errors import RecordReplaced, RecordUnavailable
from raised_api.http.webhook_secrets import WebhookSecrets
from raised_api.http.write_probe import WriteProbe
from raised_api.routes.problem_item import Trouble, problem_item
from raised_api.routes.problems import read_problems

_JSON = "application/json"


Status = Literal["ready", "starting", "degraded", "down"]


class Alive(msgspec.Struct, frozen=True):
    status: Literal["ok"]


class Daemon(msgspec.Struct, frozen=True):
    alive: bool
    seen_at: Time | None


class ChainHealth(msgspec.Struct, frozen=True):
    state: SourceState
    height: int | None
    hash: str | None
    explorers: list[Explorer]


class Health(msgspec.Struct, frozen=True):
    status: Status
    database: Literal["ok", "down"]
    daemon: Daemon
    relays: list[Relay]
    chain: ChainHealth
    btcpay: list[Store]
    progress: list[Progress]
    problems: list[Trouble]


def health_handlers(
    engine: AsyncEngine, clock: Callable[[], int], secrets: WebhookSecrets, probe: WriteProbe
) -> list[HTTPRouteHandler]:
    """The routes of health, for watchdogs and people."""

    @get("/health/live", name="live")
    async def live() -> Response[bytes]:
        body = msgspec.json.encode(Alive("ok"))
        return Response(body, media_type=_JSON, headers={"cache-control": "no-store"})

    @get(["/health/ready", "/health"], name="ready")
    async def ready() -> Response[bytes]:
        health = await read_health(engine, clock(), secrets)
        if health.database == "ok" and not await probe.is_writable():
            health = _without_writing(health)
        return Response(
            msgspec.json.encode(health),
            status_code=503 if health.status in {"starting", "down"} else 200,
            media_type=_JSON,
            headers={"cache-control": "no-store"},
        )

    return [live, ready]


async def read_health(engine: AsyncEngine, now: int, secrets: WebhookSecrets) -> Health:
    """How everything is, and what is wrong."""
    try:
        async with reading(engine) as conn:
            return await _health(conn, now, secrets)
    except RecordReplaced:
        # The path is for the log alone: health is open to everybody.
        detail = "The record was deleted or replaced while it was in use; the log says what to do."
        return _without_record("replaced", detail)
    except RecordUnavailable:
        return _without_record("unavailable", "The database does not answer.")


def _without_writing(health: Health) -> Health:
    detail = (
        "Nothing can be written to the database (it is full, locked or read-only), so deliveries "
        "are answered 503: look at its disk, permissions and locks; the log names the reason."
    )
    problem = problem_item("database", "not_writable", detail, None, severity="down")
    return msgspec.structs.replace(
        health, status="down", database="down", problems=[problem, *health.problems]
    )


def _without_record(code: str, detail: str) -> Health:
    return Health(
        status="down",
        database="down",
        daemon=Daemon(alive=False, seen_at=None),
        relays=[],
        chain=ChainHealth("down", None, None, []),
        btcpay=[],
        progress=[],
        problems=[problem_item("database", code, detail, None, severity="down")],
    )


async def _health(conn: AsyncConnection, now: int, secrets: WebhookSecrets) -> Health:
    as_of = await read_as_of(conn)
    settings = await read_stored_settings(conn)
    relays = list((await relay_items(conn, settings.relays)).values())
    explorers = list((await explorer_items(conn, settings.explorers)).values())
    stores = list((await store_items(conn, settings.store_labels)).values())
    readings = await read_readings(conn)
    steps = await read_steps(conn, readings)
    sources = (*relays, *explorers, *stores)
    problems = await read_problems(conn, as_of, sources, now, secrets, shows_private=False)
    alive = as_of.daemon_alive(now)
    _, chain, _ = as_of.source_states(now)
    # The first sync ends once; before it has, a record that nothing is wrong with is still empty.
    is_awaited = any(step.is_awaited for step in steps) or not _is_degraded(problems)
    starting = readings.ended_at is None and is_awaited
    return Health(
        status=_status(problems, alive=alive, starting=starting),
        database="ok",
        daemon=Daemon(alive, instant(as_of.seen_at)),
        relays=relays,
        chain=ChainHealth(chain, as_of.height, as_of.hash, explorers),
        btcpay=stores,
        progress=[step.progress for step in steps],
        problems=problems,
    )


def _status(problems: Sequence[Trouble], *, alive: bool, starting: bool) -> Status:
    if not alive:
        return "down"
    if starting:
        return "starting"
    return "degraded" if _is_degraded(problems) else "ready"


def _is_degraded(problems: Sequence[Trouble]) -> bool:
    return any(problem.severity != "warning" for problem in problems)

"""Health: alive; ready; and why not."""

from collections.abc import Callable

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import reading
from raised.db.items.instant import instant
from raised.db.items.invoice_items import store_items
from raised.db.items.items import Item, explorer_items, relay_items
from raised.db.queries.as_of import RecordState, read_as_of
from raised.db.queries.progress import Progress, read_progress
from raised.db.stored_settings import read_stored_settings
from raised.errors import RecordUnavailable
from raised_api.http.webhook_secrets import WebhookSecrets
from raised_api.routes.problem_item import problem_item
from raised_api.routes.problems import read_problems

_JSON = "application/json"
_FIRST_INDEX = "index"  # later back-fills and indexes run beside a record that is whole


def health_handlers(
    engine: AsyncEngine, clock: Callable[[], int], secrets: WebhookSecrets
) -> list[HTTPRouteHandler]:
    """The routes of health, for watchdogs and people."""

    @get("/health/live", name="live")
    async def live() -> Response[bytes]:
        return Response(b'{"status":"ok"}', media_type=_JSON, headers={"cache-control": "no-store"})

    @get(["/health/ready", "/health"], name="ready")
    async def ready() -> Response[bytes]:
        health = await read_health(engine, clock(), secrets)
        return Response(
            msgspec.json.encode(health),
            status_code=503 if health["status"] in {"starting", "down"} else 200,
            media_type=_JSON,
            headers={"cache-control": "no-store"},
        )

    return [live, ready]


async def read_health(engine: AsyncEngine, now: int, secrets: WebhookSecrets) -> Item:
    """How everything is, and what is wrong."""
    try:
        async with reading(engine) as conn:
            return await _health(conn, now, secrets)
    except RecordUnavailable:
        return _without_record()


def _without_record() -> Item:
    detail = "The database does not answer."
    return {
        "status": "down",
        "database": "down",
        "daemon": {"alive": False, "seen_at": None},
        "relays": [],
        "chain": {"state": "down", "height": None, "hash": None, "explorers": []},
        "btcpay": [],
        "progress": [],
        "problems": [problem_item("database", "unavailable", detail, None, severity="down")],
    }


async def _health(conn: AsyncConnection, now: int, secrets: WebhookSecrets) -> Item:
    as_of = await read_as_of(conn)
    settings = await read_stored_settings(conn)
    relays = list((await relay_items(conn, settings.relays)).values())
    explorers = list((await explorer_items(conn, settings.explorers)).values())
    stores = list((await store_items(conn, settings.store_labels)).values())
    progress = await read_progress(conn)
    sources = (*relays, *explorers, *stores)
    problems = await read_problems(conn, as_of, sources, now, secrets, shows_private=False)
    wrong = [problem for problem in problems if problem["severity"] != "warning"]
    alive = as_of.daemon_alive(now)
    return {
        "status": _status(alive=alive, starting=_is_starting(progress, relays, as_of), bad=wrong),
        "database": "ok",
        "daemon": {"alive": alive, "seen_at": instant(as_of.seen_at)},
        "relays": relays,
        "chain": {
            "state": as_of.chain,
            "height": as_of.height,
            "hash": as_of.hash,
            "explorers": explorers,
        },
        "btcpay": stores,
        "progress": [
            {"what": step.what, "done": step.done, "total": step.total} for step in progress
        ],
        "problems": problems,
    }


def _status(*, alive: bool, starting: bool, bad: list[Item]) -> str:
    if not alive:
        return "down"
    if starting:
        return "starting"
    return "degraded" if bad else "ready"


def _is_starting(progress: list[Progress], relays: list[Item], as_of: RecordState) -> bool:
    """Whether the first back-fill or index is not done. A relay that is away holds nobody up."""
    if as_of.height is None or not relays:
        return True
    waiting = [relay for relay in relays if relay["state"] != "down"]
    if waiting and not any(relay["cursor_at"] for relay in waiting):
        return True
    return any(step.what == _FIRST_INDEX and step.done < step.total for step in progress)

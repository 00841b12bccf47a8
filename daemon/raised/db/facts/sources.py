"""Sources: how relays, explorers and stores do, and the daemon itself."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.facts.cursors import drop_cursor
from raised.db.schema import daemon, explorer, relay, store
from raised.domain.observation import SourceHealth

_TABLES: Final = {"relay": relay, "explorer": explorer, "store": store}
_THE_ONE: Final = 1
_READ: Final = frozenset({"store_id", "kept_metadata", "crowdfund_apps"})


async def put_health(conn: AsyncConnection, health: SourceHealth) -> str | None:
    """Keep how a source does; the state it was in before, None when it is new."""
    table = _TABLES[health.kind]
    statement = select(table.c.state, table.c.since_at).where(table.c.name == health.name)
    known = (await conn.execute(statement)).first()
    same = known is not None and known.state == health.state
    code, detail = health.last_error or (None, None)
    row = {
        "name": health.name,
        "state": health.state,
        "since_at": known.since_at if known is not None and same else health.at,
        "seen_at": health.at,
        "last_success_at": health.last_success_at,
        "last_error_code": code,
        "last_error_detail": detail,
        "latency_ms": health.latency_ms,
        "errors": json.dumps(dict(health.errors)),
        "facts": json.dumps(dict(health.facts), default=_plain),
    }
    await put(conn, table, [row])
    return None if known is None else str(known.state)


def _plain(value: object) -> object:
    assert isinstance(value, Mapping), "facts hold plain values and counts"
    return dict(value)


async def put_daemon(
    conn: AsyncConnection, version: str, started_at: int, settings: Mapping[str, object]
) -> None:
    """Say which daemon writes from now on, and what the API must know of its configuration."""
    row = {
        "id": _THE_ONE,
        "version": version,
        "started_at": started_at,
        "seen_at": started_at,
        "progress": "{}",
        "settings": json.dumps(settings),
    }
    await put(conn, daemon, [row])


async def put_settings(conn: AsyncConnection, settings: Mapping[str, object]) -> None:
    """What the API must know of the configuration in force."""
    statement = update(daemon).where(daemon.c.id == _THE_ONE)
    await conn.execute(statement.values(settings=json.dumps(settings)))


async def read_settings(conn: AsyncConnection) -> dict[str, Any]:
    """What the daemon last said of its configuration; empty before the first."""
    text = await conn.scalar(select(daemon.c.settings).where(daemon.c.id == _THE_ONE))
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


async def forget_sweeps(conn: AsyncConnection, stores: Mapping[str, Mapping[str, object]]) -> None:
    """Have a store read from its beginning when what is kept of its invoices has changed since."""
    before = {one["label"]: one for one in (await read_settings(conn)).get("stores", [])}
    for label, told in stores.items():
        known = before.get(label, {})
        if known and any(known.get(name) != told[name] for name in told if name in _READ):
            await drop_cursor(conn, "store", label)
            await drop_cursor(conn, "store:full", label)


async def put_daemon_seen(conn: AsyncConnection, at: int) -> None:
    """The daemon is alive at this time."""
    await conn.execute(update(daemon).where(daemon.c.id == _THE_ONE).values(seen_at=at))


async def put_progress(conn: AsyncConnection, what: str, done: int, total: int) -> None:
    """How far a long piece of work is; what is finished stays, as finished."""
    known = await conn.scalar(select(daemon.c.progress).where(daemon.c.id == _THE_ONE))
    if known is None:
        return
    progress = json.loads(known) | {what: [done, total]}
    statement = update(daemon).where(daemon.c.id == _THE_ONE)
    await conn.execute(statement.values(progress=json.dumps(progress)))


async def keep_sources(
    conn: AsyncConnection,
    relays: Collection[str],
    explorers: Collection[str],
    stores: Collection[str] = (),
) -> None:
    """Forget the sources that are followed no more: how they did last says nothing."""
    for table, names in ((relay, relays), (explorer, explorers), (store, stores)):
        await conn.execute(delete(table).where(table.c.name.not_in(sorted(names))))

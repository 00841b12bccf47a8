"""Health of relays, explorers and stores, and the one row of the daemon itself."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.facts.cursors import FULL_SWEEP, STORE, STORE_READ, drop_cursor
from raised.db.facts.problems import drop_problems_of_others
from raised.db.schema import daemon, explorer, relay, store
from raised.db.stored_settings import StoredSettings, StoredStore, read_stored_settings
from raised.domain.observation import SourceHealth

_TABLES: Final = {"relay": relay, "explorer": explorer, "store": store}
_ONLY_ROW: Final = 1


async def put_health(conn: AsyncConnection, health: SourceHealth) -> str | None:
    """Store the health of a source; the state it was in before, None when it is new."""
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


async def put_daemon(conn: AsyncConnection, version: str, started_at: int) -> None:
    """Store which daemon writes from now on; the settings of the one before stay in force."""
    row = {
        "id": _ONLY_ROW,
        "version": version,
        "started_at": started_at,
        "seen_at": started_at,
        "progress": "{}",
        "settings": "{}",
    }
    await put(conn, daemon, [row], keep=("settings",))


async def put_settings(conn: AsyncConnection, settings: StoredSettings) -> None:
    """Store what the API must know of the configuration in force."""
    text = msgspec.json.encode(settings).decode()
    await conn.execute(update(daemon).where(daemon.c.id == _ONLY_ROW).values(settings=text))


async def drop_outdated_sweeps(
    conn: AsyncConnection, stores: Iterable[StoredStore], at: int
) -> tuple[StoredStore, ...]:
    """Drop the cursors of stores that are read in another way than before: their invoices must be
    read anew from their beginning. The stores, with since when they are read as now.
    """
    before = {known.label: known for known in (await read_stored_settings(conn)).stores or ()}
    return tuple(
        [await _drop_if_outdated(conn, before.get(each.label), each, at) for each in stores]
    )


async def _drop_if_outdated(
    conn: AsyncConnection, known: StoredStore | None, configured: StoredStore, at: int
) -> StoredStore:
    if known is None:
        return configured
    if _swept_by(known) == _swept_by(configured):
        return msgspec.structs.replace(configured, read_since=known.read_since)
    await drop_cursor(conn, STORE, configured.label)
    await drop_cursor(conn, FULL_SWEEP, configured.label)
    await drop_cursor(conn, STORE_READ, configured.label)
    return msgspec.structs.replace(configured, read_since=at)


async def is_sweep_outdated(conn: AsyncConnection, label: str, began_at: int, at: int) -> bool:
    """Whether a sweep that began then, and says so at `at`, has read with settings of before.

    A change that seems to be in the future was made while our clock was ahead: it says nothing.
    """
    stores = (await read_stored_settings(conn)).stores or ()
    return any(each.label == label and began_at < each.read_since <= at for each in stores)


def _swept_by(configured: StoredStore) -> tuple[object, ...]:
    """What a sweep of a store rests on."""
    return (
        configured.store_id,
        configured.kept_metadata,
        configured.crowdfund_apps,
        configured.bitcoin_methods,
    )


async def put_heartbeat(conn: AsyncConnection, at: int) -> None:
    """Store when the daemon was alive last."""
    await conn.execute(update(daemon).where(daemon.c.id == _ONLY_ROW).values(seen_at=at))


async def put_progress(conn: AsyncConnection, what: str, done: int, total: int) -> None:
    """Store how far a long piece of work is; what is finished stays, as finished."""
    known = await conn.scalar(select(daemon.c.progress).where(daemon.c.id == _ONLY_ROW))
    if known is None:
        return
    progress = json.loads(known) | {what: [done, total]}
    statement = update(daemon).where(daemon.c.id == _ONLY_ROW)
    await conn.execute(statement.values(progress=json.dumps(progress)))


async def drop_unfollowed(
    conn: AsyncConnection,
    relays: Collection[str],
    explorers: Collection[str],
    stores: Collection[str] = (),
) -> None:
    """Drop the health of all sources but these: that of one that is not followed is out of date."""
    for table, names in ((relay, relays), (explorer, explorers), (store, stores)):
        await conn.execute(delete(table).where(table.c.name.not_in(sorted(names))))
    await drop_problems_of_others(
        conn, (("relay", relays), ("explorer", explorers), ("store", stores))
    )

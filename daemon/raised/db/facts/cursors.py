"""Cursors: how far a source's answers are in the record."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.schema import cursor

RELAY: Final = "relay"
WANTED: Final = "relay:wanted"  # the events a relay was asked for, as `digest_of_events`
# How far a store's sweeps are; how far a full one came that has not ended, with when it began; and
# since when a store is expected to send events.
STORE: Final = "store"
FULL_SWEEP: Final = "store:full"
STORE_READ: Final = "store:read"  # its invoices and refunds were read to the end once
STORE_EVENTS: Final = "store:events"


async def cursor_of(conn: AsyncConnection, source: str, name: str) -> tuple[int, int | None] | None:
    """Up to when everything is in the record, and when the last full pass over it began."""
    statement = select(cursor).where(cursor.c.source == source, cursor.c.name == name)
    row = (await conn.execute(statement)).first()
    return None if row is None else (row.value, row.full_at)


async def advance_cursor(
    conn: AsyncConnection, source: str, name: str, value: int, full_at: int | None
) -> None:
    """Store that everything up to `value` is in the record. A cursor never goes back."""
    known = await cursor_of(conn, source, name)
    if known is not None:
        value = max(value, known[0])
        full_at = max((time for time in (full_at, known[1]) if time is not None), default=None)
    row: Mapping[str, object] = {
        "source": source,
        "name": name,
        "value": value,
        "full_at": full_at,
    }
    await put(conn, cursor, [row])


async def set_cursor(
    conn: AsyncConnection, source: str, name: str, value: int, full_at: int | None
) -> None:
    """Store a mark that may go either way."""
    row = {"source": source, "name": name, "value": value, "full_at": full_at}
    await put(conn, cursor, [row])


async def drop_cursor(conn: AsyncConnection, source: str, name: str) -> None:
    """Drop a cursor: the next time begins from the start."""
    await conn.execute(delete(cursor).where(cursor.c.source == source, cursor.c.name == name))


async def cursor_names(conn: AsyncConnection, source: str) -> set[str]:
    """The names of all cursors of this kind."""
    return set(await conn.scalars(select(cursor.c.name).where(cursor.c.source == source)))

"""A relay as the API shows it: its health, and how far it has been read."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.items.instant import Time, instant
from raised.db.items.source_item import Source, source_facts, source_fields, source_rows


class Relay(Source, frozen=True):
    last_event_at: Time | None
    cursor_at: Time | None
    backfill_complete: bool
    events: dict[str, int]
    forged: int
    auth: Any


async def relay_items(
    conn: AsyncConnection, names: Iterable[str] | None = None
) -> dict[str, Relay]:
    """Relays by address, in the order of addresses; all of them without `names`."""
    cursor = schema.cursor
    statement = select(cursor).where(cursor.c.source == "relay")
    cursors = {row.name: row.value for row in await conn.execute(statement)}
    rows = await source_rows(conn, schema.relay, names)
    return {row.name: _relay(row, cursors.get(row.name)) for row in rows}


def _relay(row: Row[Any], cursor: int | None) -> Relay:
    facts = source_facts(row)
    return Relay(
        **source_fields(row),
        last_event_at=instant(facts.get("last_event_at")),
        cursor_at=instant(cursor),
        backfill_complete=bool(facts.get("backfill_complete", False)),
        events=facts.get("events", {}),
        forged=facts.get("forged", 0),
        auth=facts.get("auth"),
    )

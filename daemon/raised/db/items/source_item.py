"""What the API shows of every source, whether relay, explorer or store."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import rows_among
from raised.db.items.instant import Time, instant
from raised.domain.observation import State


class LastError(msgspec.Struct, frozen=True):
    code: str
    detail: str | None


class Source(msgspec.Struct, frozen=True):
    name: str
    state: State
    since_at: Time | None
    last_success_at: Time | None
    last_error: LastError | None
    latency_ms: int | None
    errors: dict[str, int]


async def source_rows(
    conn: AsyncConnection, table: Table, names: Iterable[str] | None
) -> Sequence[Row[Any]]:
    """The sources of a table with these names, or all, in the order of their names."""
    statement = select(table).order_by(table.c.name)
    if names is None:
        return (await conn.execute(statement)).all()
    return await rows_among(conn, statement, table.c.name, names)


def source_fields(row: Row[Any]) -> dict[str, Any]:
    """The fields of `Source`, from the row of a source of any kind."""
    error = None
    if row.last_error_code is not None:
        error = LastError(row.last_error_code, row.last_error_detail)
    return {
        "name": row.name,
        "state": row.state,
        "since_at": instant(row.since_at),
        "last_success_at": instant(row.last_success_at),
        "last_error": error,
        "latency_ms": row.latency_ms,
        "errors": msgspec.json.decode(row.errors),
    }


def source_facts(row: Row[Any]) -> dict[str, Any]:
    """What only sources of this kind have, as the daemon stored it; any key may be missing."""
    return msgspec.json.decode(row.facts, type=dict[str, Any])

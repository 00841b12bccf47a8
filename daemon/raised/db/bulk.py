"""Statements over many rows, in batches that every SQLite takes; one place for both dialects."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Delete, Row, Select, Table, Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
Values = Mapping[str, Any]

# Bound parameters of one statement; SQLite's oldest limit is 999.
_BATCH = 500


def batches(values: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    remaining = iter(values)
    while batch := list(islice(remaining, size)):
        yield batch


async def rows_among(
    conn: AsyncConnection,
    statement: Select[Any],
    column: ColumnElement[Any],
    keys: Iterable[object],
) -> list[Row[Any]]:
    """All rows whose `column` is one of the keys."""
    rows: list[Row[Any]] = []
    for batch in batches(dict.fromkeys(keys)):
        rows.extend(await conn.execute(statement.where(column.in_(batch))))
    return rows


async def change_among(
    conn: AsyncConnection,
    statement: Update | Delete,
    column: ColumnElement[Any],
    keys: Iterable[object],
) -> None:
    """Update or delete all rows whose `column` is one of the keys."""
    for batch in batches(dict.fromkeys(keys)):
        await conn.execute(statement.where(column.in_(batch)))


async def add(conn: AsyncConnection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows; those whose primary key is taken are left as they are."""
    if rows:
        await conn.execute(_insert(conn, table).on_conflict_do_nothing(), list(rows))


async def put(
    conn: AsyncConnection, table: Table, rows: Sequence[Values], keep: Collection[str] = ()
) -> None:
    """Insert rows, or replace those whose primary key is taken, but for the columns to `keep`."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    insert = _insert(conn, table)
    changed = {name: insert.excluded[name] for name in rows[0] if name not in {*keys, *keep}}
    await conn.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


async def accumulate(
    conn: AsyncConnection,
    table: Table,
    rows: Sequence[Values],
    columns: Collection[str],
    newest: Collection[str] = (),
) -> None:
    """Insert rows, or add to `columns` where the primary key is taken, and replace `newest`."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    insert = _insert(conn, table)
    sums = {name: table.c[name] + insert.excluded[name] for name in columns}
    sums |= {name: insert.excluded[name] for name in newest}
    await conn.execute(insert.on_conflict_do_update(index_elements=keys, set_=sums), list(rows))


def _insert(conn: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    if conn.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)

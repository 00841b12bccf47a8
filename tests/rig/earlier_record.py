"""A record that an earlier version wrote, loaded into a database as that version left it."""

import sqlite3
from pathlib import Path
from typing import Any, Final

from alembic import command
from sqlalchemy import Boolean, Connection, MetaData, Table, insert, text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.rig import vectors

from raised.db.engine import sqlite_path
from raised.db.upgrade import _alembic

DUMP: Final = vectors.RECORD / "a794387.sql"
SUMMARY: Final = vectors.RECORD / "a794387_summary.json"
_REVISION: Final = "0002"


async def load_earlier_record(url: str) -> None:
    """Fill an empty database: with the dump's schema on SQLite, with the migrations' elsewhere."""
    path = sqlite_path(url)
    if path is not None:
        _load_dump(path).close()
        return
    dump = _load_dump(":memory:")
    engine = create_async_engine(url)
    async with engine.begin() as conn:
        await conn.run_sync(_migrate)
        await conn.execute(text("SET session_replication_role = replica"))  # rows in any order
        await conn.run_sync(_copy_rows, dump)
    await engine.dispose()
    dump.close()


def _load_dump(place: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(place)
    connection.executescript(DUMP.read_text())
    connection.row_factory = sqlite3.Row
    return connection


def _migrate(conn: Connection) -> None:
    config = _alembic()
    config.attributes["connection"] = conn
    command.upgrade(config, _REVISION)


def _copy_rows(conn: Connection, dump: sqlite3.Connection) -> None:
    metadata = MetaData()
    metadata.reflect(conn)
    for table in metadata.tables.values():
        rows = [_typed(table, row) for row in dump.execute(f"SELECT * FROM {table.name}")]
        if rows and table.name != "alembic_version":  # the migrations have written it
            conn.execute(insert(table), rows)


def _typed(table: Table, row: sqlite3.Row) -> dict[str, Any]:
    """SQLite knows no booleans."""
    values = dict(row)
    for column in table.columns:
        if isinstance(column.type, Boolean) and values[column.name] is not None:
            values[column.name] = bool(values[column.name])
    return values

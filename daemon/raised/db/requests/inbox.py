"""The inbox: what stores' servers told the API, for the daemon to act on.

A delivery is kept by what it names, never as it came: bodies name buyers. The API alone adds rows,
the daemon alone acts on them.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, Protocol

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import accumulate, add, put
from raised.db.engine import (
    BUSY_SECONDS,
    connect_sqlite,
    is_connection_spoilt,
    open_writer,
    sqlite_path,
    transact,
    unavailable,
)
from raised.db.record_file import RecordFile
from raised.db.schema import delivery, meta, refused_delivery
from raised.db.stored_settings import read_stored_settings
from raised.errors import RecordUnavailable

P = ParamSpec("P")

TEST: Final = "test"  # the result of what a "send test event" button sent

# The row that is written to see whether the record takes anything; health waits for it no longer.
_PROBE: Final = "inbox_tried_at"
_PROBE_LOCK_SECONDS: Final = 2
_PUT_PROBE: Final = (
    f"INSERT INTO meta(key, value) VALUES ('{_PROBE}', ?) "  # noqa: S608 - a name of ours
    "ON CONFLICT(key) DO UPDATE SET value = excluded.value"
)

_COLUMNS: Final = tuple(column.name for column in delivery.columns if column.name != "id")
_EXTRACT: Final = "json_extract(value, '$.{}')"
_INSERT: Final = (
    f"INSERT INTO delivery({', '.join(_COLUMNS)}) "  # noqa: S608 - names of our own columns
    f"SELECT {', '.join(map(_EXTRACT.format, _COLUMNS))} "
    "FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of a store's server to tell something. `is_test`: there is nothing to act on."""

    store: str
    webhook_id: str
    delivery_id: str
    original_delivery_id: str
    type: str
    invoice_id: str | None
    pull_payment_id: str | None
    redelivery: bool
    sent_at: int
    received_at: int
    is_test: bool = False


class Adder(Protocol):
    """Adds deliveries; they survive a power cut when that returns."""

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Add them together; those that are held already are left as they are.

        Raises:
            RecordUnavailable: locked too long, disconnected, disk full.
            RecordReplaced: the record is not the one that was opened; nothing was added.
        """

    async def probe(self, at: int) -> None:
        """Write something, as `add` would, to see whether that is possible. `at`: Unix seconds.

        Raises:
            RecordUnavailable: as `add` would, after a shorter wait for a lock.
        """

    async def close(self) -> None:
        """Let go of the database."""


def open_adder(url: str) -> Adder:
    """The way to add deliveries to this database."""
    path = sqlite_path(url)
    return _ServerAdder(url) if path is None else _FileAdder(path)


class _ServerAdder:
    def __init__(self, url: str) -> None:
        self._engine = open_writer(url)

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        await transact(self._engine, add, delivery, [_columns(delivery) for delivery in deliveries])

    async def probe(self, at: int) -> None:
        await transact(self._engine, put, meta, [{"key": _PROBE, "value": str(at)}])

    async def close(self) -> None:
        await self._engine.dispose()


class _FileAdder:
    """SQLite, by one statement of one thread for each transaction.

    The engine takes eight turns of its thread for it, and each turn and each row of `executemany`
    waits until the busy event loop lets the thread have the interpreter: a fifth fewer deliveries
    a second, and the slowest took seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = RecordFile.at(path)
        self._thread = ThreadPoolExecutor(1, "inbox")
        self._connection: sqlite3.Connection | None = None
        self._require_unchanged = self._file.opened()
        self._read_only_failures = 0

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        rows = msgspec.json.encode([_columns(delivery) for delivery in deliveries]).decode()
        await self._in_thread(self._execute, _INSERT, rows)

    async def probe(self, at: int) -> None:
        await self._in_thread(self._probe, str(at))

    async def close(self) -> None:
        await self._in_thread(self._disconnect)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[P, None], *args: P.args, **named: P.kwargs) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._thread, partial(work, *args, **named)
        )

    def _probe(self, value: str) -> None:
        try:
            self._connected().execute(f"PRAGMA busy_timeout={_PROBE_LOCK_SECONDS * 1000}")
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        try:
            self._execute(_PUT_PROBE, value)
        finally:
            if self._connection is not None:
                self._connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

    def _execute(self, statement: str, value: str) -> None:
        """Commit one statement, in a record that was not replaced before or meanwhile."""
        try:
            connection = self._connected()
            self._require_unchanged()
            connection.execute(statement, (value,))
            self._read_only_failures = 0
            self._require_unchanged()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.require_same()
            self._connection = connect_sqlite(self._path)
            self._require_unchanged = self._file.opened()
        return self._connection

    def _unavailable(self, error: sqlite3.Error | OSError) -> RecordUnavailable:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            self._read_only_failures += 1
            if self._read_only_failures > 1:  # the connection was opened anew, for nothing
                self._file.note_read_only()
        if is_connection_spoilt(error):
            self._disconnect()
        return unavailable(error)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


async def count_refused(
    conn: AsyncConnection, counts: Mapping[tuple[str, str], int], at: int
) -> None:
    """Add to the numbers of refused requests by (store, reason); the last of each came at `at`."""
    rows = [
        {"store": store, "reason": reason, "count": number, "last_at": at}
        for (store, reason), number in sorted(counts.items())
    ]
    await accumulate(conn, refused_delivery, rows, ("count",), newest=("last_at",))


@dataclass(frozen=True, slots=True)
class Refused:
    """How many requests to a store's address were refused for a reason, and when the last was."""

    store: str
    reason: str
    count: int
    last_at: int


async def refused_since(conn: AsyncConnection, since: int) -> list[Refused]:
    """The counts that have grown since then."""
    columns = refused_delivery.c
    number = columns.count.label("number")  # `count` is a method of rows
    grown = (
        select(columns.store, columns.reason, number, columns.last_at)
        .where(columns.last_at >= since)
        .order_by(columns.store, columns.reason)
    )
    return [
        Refused(row.store, row.reason, row.number, row.last_at) for row in await conn.execute(grown)
    ]


async def store_ids(conn: AsyncConnection) -> dict[str, str]:
    """The id of each store that the daemon follows, by label."""
    settings = await read_stored_settings(conn)
    return {store.label: store.store_id for store in settings.stores or ()}


def _columns(delivery: Delivery) -> dict[str, object]:
    return {
        "store": delivery.store,
        "webhook_id": delivery.webhook_id,
        "delivery_id": delivery.delivery_id,
        "original_delivery_id": delivery.original_delivery_id,
        "type": delivery.type,
        "invoice_id": delivery.invoice_id,
        "pull_payment_id": delivery.pull_payment_id,
        "redelivery": delivery.redelivery,
        "sent_at": delivery.sent_at,
        "received_at": delivery.received_at,
        "processed_at": delivery.received_at if delivery.is_test else None,
        "result": TEST if delivery.is_test else None,
    }

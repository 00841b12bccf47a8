"""A record whose files are deleted, replaced or written by others while it is open."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tests.rig.databases import make_sqlite_record, sqlite_url
from tests.rig.record_accidents import ACCIDENTS, backup_of, delete

from raised.db.engine import open_reader, open_writer, reading, sole_writer, transact
from raised.db.requests.inbox import Adder, Delivery, open_adder
from raised.errors import RecordReplaced, RecordUnavailable

DELIVERY = Delivery("shop", "w", "d1", "d1", "InvoiceSettled", "i", None, False, 1, 1)


async def look(conn: AsyncConnection) -> None:
    await conn.execute(text("SELECT 1"))


async def note(conn: AsyncConnection) -> None:
    await conn.execute(text("INSERT INTO cursor(source, name, value) VALUES ('relay', 'a', 1)"))


@pytest.fixture
async def record(tmp_path: Path) -> Path:
    await make_sqlite_record(tmp_path / "raised.db")
    return tmp_path / "raised.db"


@pytest.fixture
async def engine(record: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_writer(sqlite_url(record))
    await transact(engine, note)
    yield engine
    await engine.dispose()


@pytest.fixture
async def adder(record: Path, engine: AsyncEngine) -> AsyncIterator[Adder]:
    adder = open_adder(sqlite_url(record))
    await adder.add([DELIVERY])
    yield adder
    await adder.close()


def files_of(record: Path) -> list[Path]:
    return list(record.parent.glob("raised.db*"))


@pytest.mark.parametrize("happens", ACCIDENTS)
async def test_nothing_is_read_or_written_any_more(
    record: Path, engine: AsyncEngine, adder: Adder, happens: Callable[[Path], None]
) -> None:
    async with reading(engine) as conn:
        await look(conn)
    await asyncio.sleep(0.02)  # the clock of files is coarse
    happens(record)
    with pytest.raises(RecordReplaced, match="start again"):
        await adder.add([replace(DELIVERY, delivery_id="d2")])
    with pytest.raises(RecordReplaced):
        await adder.probe(1)
    with pytest.raises(RecordReplaced):
        await transact(engine, note)
    with pytest.raises(RecordReplaced):
        async with reading(engine) as conn:
            await look(conn)


async def test_what_is_committed_while_it_is_deleted_is_not_acknowledged(
    record: Path, engine: AsyncEngine
) -> None:
    async def delete_meanwhile(conn: AsyncConnection) -> None:
        await note(conn)
        delete(record)

    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM cursor"))
    with pytest.raises(RecordReplaced):
        await transact(engine, delete_meanwhile)


async def test_a_deleted_record_is_not_made_anew(record: Path) -> None:
    """By a connection that was not open yet."""
    adder, engine = open_adder(sqlite_url(record)), open_reader(sqlite_url(record))
    delete(record)
    with pytest.raises(RecordReplaced):
        await adder.add([DELIVERY])
    with pytest.raises(RecordReplaced):
        async with reading(engine) as conn:
            await look(conn)
    assert not files_of(record)
    await adder.close()
    await engine.dispose()


async def test_checkpoints_and_other_programs_change_nothing(
    record: Path, engine: AsyncEngine, adder: Adder
) -> None:
    for number in range(50):
        await adder.add([replace(DELIVERY, delivery_id=f"n{number}")])
        other = sqlite3.connect(record)
        kind = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")[number % 4]
        other.execute(f"PRAGMA wal_checkpoint({kind})")
        other.close()
        async with reading(engine) as conn:
            await look(conn)
        open_writer(sqlite_url(record))
    backup_of(record)
    await adder.add([replace(DELIVERY, delivery_id="last")])


async def test_all_connections_closed_and_opened_again_change_nothing(
    record: Path, engine: AsyncEngine
) -> None:
    """The last one that closes moves the write-ahead log into the file and deletes it."""
    await engine.dispose()
    assert not record.with_name("raised.db-wal").exists()
    async with reading(engine) as conn:
        await look(conn)
    again = open_adder(sqlite_url(record))
    await again.add([replace(DELIVERY, delivery_id="d2")])
    await again.close()


async def test_a_record_whose_tables_were_restored_is_another_one(
    database_url: str, writer: AsyncEngine
) -> None:
    """PostgreSQL; on SQLite the files say it."""
    async with sole_writer(database_url) as assure:
        await assure()
        if writer.dialect.name == "sqlite":
            return
        async with writer.begin() as conn:
            await conn.execute(text("ALTER TABLE daemon RENAME TO old"))
            await conn.execute(text("CREATE TABLE daemon (LIKE old INCLUDING ALL)"))
        with pytest.raises(RecordReplaced):
            await assure()


async def test_a_connection_that_may_only_read_is_opened_anew_once_that_has_healed(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that was opened while the folder or the disk could not be written."""
    adder, engine = open_adder(sqlite_url(record)), open_writer(sqlite_url(record))
    await transact(engine, note)  # so that there is a log to read
    connect = sqlite3.connect

    def read_only(database: object, **more: object) -> sqlite3.Connection:
        return connect(f"file:{record}?mode=ro", **{**more, "uri": True})  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", read_only)
        with pytest.raises(RecordUnavailable, match="readonly"):
            await adder.add([DELIVERY])
    await adder.add([DELIVERY])
    await adder.close()
    await engine.dispose()


async def test_where_that_is_not_enough_a_new_start_is_asked_for(
    record: Path, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections of a process share what SQLite has opened for reading alone."""
    adder, connect = open_adder(sqlite_url(record)), sqlite3.connect

    def read_only(database: object, **more: object) -> sqlite3.Connection:
        return connect(f"file:{record}?mode=ro", **{**more, "uri": True})  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", read_only)
        for _ in range(2):
            with pytest.raises(RecordUnavailable, match="readonly"):
                await adder.add([DELIVERY])
    with pytest.raises(RecordReplaced, match="now it can: start again"):
        await transact(engine, note)
    await adder.close()


async def test_so_is_one_of_the_engine(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, engine = open_reader(sqlite_url(record)), open_writer(sqlite_url(record))
    async with reading(keeper) as conn:
        await look(conn)
    connect = sqlite3.connect

    def read_only(database: object, **more: object) -> sqlite3.Connection:
        return connect(f"file:{record}?mode=ro", **{**more, "uri": True})  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", read_only)
        with pytest.raises(RecordUnavailable, match="readonly"):
            await transact(engine, note)
    await transact(engine, note)
    await engine.dispose()
    await keeper.dispose()

"""The record's engine, lock and schema revision, on each database."""

import asyncio
import errno
import fcntl
import os
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db.engine import open_reader, open_writer, reading, sole_writer, transact
from raised.db.schema import cursor, metadata
from raised.db.upgrade import newest_revision, require_current, upgrade
from raised.errors import ConfigError, RecordUnavailable, WrongRecord


async def add_cursor(conn: AsyncConnection, name: str) -> None:
    await conn.execute(cursor.insert().values(source="relay", name=name, value=1))


async def count_cursors(engine: AsyncEngine) -> int:
    async with reading(engine) as conn:
        return int(await conn.scalar(select(func.count()).select_from(cursor)) or 0)


async def test_the_models_equal_the_migrations(writer: AsyncEngine) -> None:
    def differences(conn: Connection) -> list[object]:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with writer.connect() as conn:
        assert await conn.run_sync(differences) == []


async def test_an_upgrade_of_a_current_record_changes_nothing(writer: AsyncEngine) -> None:
    assert await upgrade(writer, "regtest") == (newest_revision(), newest_revision())


async def test_a_record_of_another_network_is_refused(writer: AsyncEngine) -> None:
    with pytest.raises(WrongRecord, match="of network regtest, the configuration says main"):
        await upgrade(writer, "main")
    async with reading(writer) as conn:
        await require_current(conn, "regtest")
        with pytest.raises(WrongRecord, match="another database"):
            await require_current(conn, "main")


async def test_a_record_of_a_newer_version_is_refused_and_left_alone(writer: AsyncEngine) -> None:
    async with writer.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WrongRecord, match="9999, which this version does not know"):
        await upgrade(writer, "regtest")
    async with reading(writer) as conn:
        with pytest.raises(WrongRecord, match="newer version"):
            await require_current(conn, "regtest")


@pytest.mark.parametrize(
    "url",
    [
        *("raised.db", "mysql://host/raised", "sqlite:////dev/null/r.db", "sqlite:////usr/lib"),
        f"sqlite:////tmp/{'x' * 300}.db",
    ],
)
def test_a_database_that_cannot_be_is_a_setting_to_edit(url: str) -> None:
    with pytest.raises(ConfigError, match="RAISED_DATABASE_URL: "):
        open_writer(url)


@pytest.mark.parametrize(
    "number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EDQUOT, errno.EACCES]
)
async def test_a_disk_that_may_come_back_is_no_setting_to_edit(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, so that systemd tries again; the sentence names the file and the reason."""
    path = tmp_path / "raised.db"
    url, words = f"sqlite:///{path}", f"raised.db.* cannot be opened: {os.strerror(number)}"

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    async def lock(url: str) -> None:
        async with sole_writer(url):
            pass

    path.touch()
    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(RecordUnavailable, match=words):
        await lock(url)
    for name in ("open", "touch", "stat"):
        monkeypatch.setattr(Path, name, fail)
    with pytest.raises(RecordUnavailable, match=words):
        await lock(url)
    with pytest.raises(RecordUnavailable, match=words):
        open_writer(url)
    with pytest.raises(RecordUnavailable, match=words):
        open_reader(url)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Whoever asks for it hears so in our words, and no password."""
    engine = open_reader("postgresql://user:secret@127.0.0.1:1/raised")
    with pytest.raises(RecordUnavailable, match="cannot be reached") as raised:
        async with reading(engine):
            pass
    with pytest.raises(RecordUnavailable, match="cannot be reached"):
        await transact(engine, add_cursor, "a")
    assert "secret" not in str(raised.value)
    await engine.dispose()


async def test_what_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "raised.db").write_text("no database " * 100)
    engine = open_writer(f"sqlite+aiosqlite:///{tmp_path}/raised.db")
    with pytest.raises(RecordUnavailable, match="not a database"):
        await upgrade(engine, "regtest")
    await engine.dispose()


async def test_a_second_writer_is_refused(database_url: str, writer: AsyncEngine) -> None:
    async with sole_writer(database_url):
        with pytest.raises(WrongRecord, match="another `raised run`"):
            async with sole_writer(database_url):
                pass
    async with sole_writer(database_url):
        pass


async def test_a_writer_learns_that_it_has_lost_the_lock(
    database_url: str, writer: AsyncEngine
) -> None:
    """PostgreSQL drops the lock with its connection; a file's lasts as long as the process."""
    async with sole_writer(database_url) as assure:
        await assure()
        if writer.dialect.name == "sqlite":
            return
        async with writer.connect() as conn:
            await conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        with pytest.raises(RecordUnavailable):
            await assure()


async def test_a_failed_transaction_leaves_nothing(writer: AsyncEngine) -> None:
    async def add_and_fail(conn: AsyncConnection) -> None:
        await add_cursor(conn, "a")
        raise LookupError

    with pytest.raises(LookupError):
        await transact(writer, add_and_fail)
    assert await count_cursors(writer) == 0


async def test_a_cancelled_transaction_is_done_whole_and_leaves_no_lock(
    writer: AsyncEngine,
) -> None:
    """The caller is cancelled, the row is there, and the next transaction does not wait."""
    begun = asyncio.Event()

    async def slow(conn: AsyncConnection) -> None:
        await add_cursor(conn, "a")
        begun.set()
        await asyncio.sleep(0.02)  # the cancellation comes meanwhile
        await add_cursor(conn, "b")

    task = asyncio.get_running_loop().create_task(transact(writer, slow))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(transact(writer, add_cursor, "c"), timeout=DEADLINE_SECONDS)
    assert await count_cursors(writer) == 3


def test_postgresql_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"raised\[postgres\]"):
        open_reader("postgresql://somebody@localhost/raised")

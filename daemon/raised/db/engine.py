"""Opening the record: SQLite or PostgreSQL by URL, one transaction at a time for the writer.

Two engines on SQLite: writing transactions begin IMMEDIATE (a read that became a write would
otherwise fail as "locked" under load), reading ones plain, so that readers never wait for it.
"""

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from raised.db.record_file import RecordFile
from raised.errors import ConfigError, RecordReplaced, RecordUnavailable, WrongRecord

Assure = Callable[[], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS: Final = 5
_SETTING: Final = "RAISED_DATABASE_URL"
_BROKEN: Final = (DBAPIError, OSError)  # asyncpg: whoever cannot be reached is an OSError
_CHECK: Final = "require unchanged"  # what a connection of the pool carries
_SPOILING: Final = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
# A number that a table has for as long as it is not dropped; none where there is no such table.
_SERVER_RECORD: Final = "SELECT to_regclass('daemon')::oid"
# The path itself is wrong: no other start can help. Everything else (a disk that is read-only, full
# or broken, a folder that is not ours, no descriptor left) is mended without editing a setting.
_WRONG_PATH: Final = frozenset(
    {
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EINVAL,
    }
)
_LOCK_KEY: Final = 0x7261_6973_6564  # "raised": PostgreSQL's advisory locks are numbers
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit that was acknowledged survives a power cut
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}",
)


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database or one in memory."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        example = "sqlite+aiosqlite:////var/lib/raised/raised.db"
        raise ConfigError(f"{_SETTING}: is no database's address, such as {example}") from error


def open_writer(url: str) -> AsyncEngine:
    """An engine whose transactions may write. Creates the file, readable by its owner only.

    Raises:
        ConfigError: no file can be at that path.
        RecordUnavailable: the file cannot be created or written now.
    """
    path = sqlite_path(url)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _create(path)
            _refuse_directory(path)
        except OSError as error:
            raise _unusable(path, error) from error
    return _open(url, begin="BEGIN IMMEDIATE")


def _create(path: Path) -> None:
    """Create the file before SQLite does, or it would look as if others had written it.

    So would the index that a deleted record has left; its log SQLite deletes by itself.
    """
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    path.touch(mode=0o600)


def open_reader(url: str) -> AsyncEngine:
    """An engine for transactions that only read.

    Raises:
        ConfigError: no file can be at that path.
        RecordUnavailable: we cannot look there now.
        WrongRecord: there is no file to read.
    """
    path = sqlite_path(url)
    if path is not None:
        try:
            path.stat()
            _refuse_directory(path)
        except FileNotFoundError as error:
            raise WrongRecord(f"there is no record at {path}: run `raised db upgrade`") from error
        except OSError as error:
            raise _unusable(path, error) from error
    return _open(url, begin="BEGIN")


def _open(url: str, begin: str) -> AsyncEngine:
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        path = sqlite_path(url)
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
        _tune_sqlite(engine, begin, None if path is None else RecordFile.at(path))
        return engine
    if backend == "postgresql":
        # Readers: all statements of a transaction see the same record, as they do on SQLite.
        level = "REPEATABLE READ" if begin == "BEGIN" else "READ COMMITTED"
        url_for_us = parsed.set(drivername="postgresql+asyncpg")
        try:
            return create_async_engine(url_for_us, pool_pre_ping=True, isolation_level=level)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{_SETTING}: PostgreSQL needs {error.name}: pip install 'raised[postgres]'"
            ) from error
    raise ConfigError(f"{_SETTING}: {backend} is not supported, take sqlite or postgresql")


def _refuse_directory(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _unusable(path: Path, error: OSError) -> ConfigError | RecordUnavailable:
    if error.errno in _WRONG_PATH:
        return ConfigError(f"{_SETTING}: {path} cannot be used: {error.strerror}")
    return RecordUnavailable(f"the record {path} cannot be opened: {error.strerror or error}")


def connect_sqlite(path: Path) -> sqlite3.Connection:
    """A bare connection for one thread at a time; each statement is a transaction of its own."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(connection: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _tune_sqlite(engine: AsyncEngine, begin: str, file: RecordFile | None) -> None:
    if file is not None:
        event.listen(engine.sync_engine, "do_connect", lambda *_: file.require_same())

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        _prepare(connection)
        if file is not None:
            record.info[_CHECK] = file.opened()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        _require_unchanged(connection)
        connection.exec_driver_sql(begin)

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: Any) -> None:
        if is_connection_spoilt(context.original_exception):
            context.is_disconnect = True


def _require_unchanged(connection: Any) -> None:
    """Go on only while the record is the one that this connection has opened."""
    check = connection.info.get(_CHECK)
    if check is not None:
        check()


def is_connection_spoilt(error: BaseException) -> bool:
    """Whether a connection must be opened anew after this error of SQLite: one that was opened
    while the folder or the disk could not be written stays so after that has healed.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _SPOILING  # the low byte is the kind of error


async def transact(
    engine: AsyncEngine,
    work: Callable[Concatenate[AsyncConnection, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work` in one writing transaction, to its end even if we are cancelled meanwhile.

    A connection that is cancelled half-way keeps SQLite's write lock until the garbage collector
    finds its cursor.

    Raises:
        RecordUnavailable: locked too long, disconnected, disk full.
        RecordReplaced: the record is not the one that was opened.
    """

    async def whole() -> T:
        async with engine.connect() as conn:
            async with conn.begin():
                done = await work(conn, *args, **kwargs)
            _require_unchanged(conn)  # after the commit: what nobody will read is not committed
            return done

    # Outside a TaskGroup on purpose: the task must outlive the cancellation of its caller.
    task = asyncio.ensure_future(whole())  # noqa: TID251
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.result()  # its failure outranks our cancellation
        raise
    except _BROKEN as error:
        raise RecordUnavailable(_sentence(error)) from error


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view of the record.

    Raises:
        RecordUnavailable: the database does not answer.
    """
    try:
        async with engine.connect() as conn:
            yield conn
    except _BROKEN as error:
        raise RecordUnavailable(_sentence(error)) from error


def _sentence(error: DBAPIError | sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"the database cannot be reached: {error.strerror or error}"
    reason = error.orig if isinstance(error, DBAPIError) else error
    return f"the database does not do what is asked: {str(reason)[:200]}"


def unavailable(error: sqlite3.Error | OSError) -> RecordUnavailable:
    """What an error of a bare connection, or of its file, means."""
    return RecordUnavailable(_sentence(error))


@asynccontextmanager
async def sole_writer(url: str) -> AsyncIterator[Assure]:
    """Hold the record's lock: there is exactly one writer, because `change.seq` is a safe cursor
    only while numbers become visible in their order.

    Gives a check to be made now and then, which raises RecordUnavailable when the lock was lost.

    Raises:
        WrongRecord: somebody else holds it.
    """
    path = sqlite_path(url)
    holder = _file_lock(path) if path is not None else _advisory_lock(url)
    async with holder as assure:
        yield assure


@asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[Assure]:
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("w")
    except OSError as error:
        raise _unusable(lock_path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongRecord(f"another `raised run` writes to {path}") from error
        except OSError as error:  # a file system without locks, or out of them
            raise _unusable(lock_path, error) from error
        yield _nothing_to_lose


async def _nothing_to_lose() -> None:
    """A file's lock lasts as long as the process."""


@asynccontextmanager
async def _advisory_lock(url: str) -> AsyncIterator[Assure]:
    engine = _open(url, begin="BEGIN")
    try:
        # Outside a transaction: an idle one would hold back PostgreSQL's clean-up for ever.
        async with engine.connect() as plain:
            conn = await plain.execution_options(isolation_level="AUTOCOMMIT")
            taken = await conn.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY})
            if not taken:
                raise WrongRecord("another `raised run` writes to this database")

            opened = await conn.scalar(text(_SERVER_RECORD))

            async def assure() -> None:
                # The server drops the lock with this connection; the writer's would reconnect.
                try:
                    found = await conn.scalar(text(_SERVER_RECORD))
                except DBAPIError as error:
                    raise RecordUnavailable(_sentence(error)) from error
                if found != opened:
                    raise RecordReplaced(
                        "the record was replaced while it was in use: start again to go on with "
                        "what is there now, and stop raised before a backup is put back"
                    )

            yield assure
    finally:
        await engine.dispose()

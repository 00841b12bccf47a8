"""Databases for tests: a record is migrated once a process, each test gets a copy of it.

A migration from nothing takes seconds on a busy machine, a copy some milliseconds. Only the tests
of the upgrade itself, and of programs that upgrade, begin with an empty database.
"""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from raised.db.engine import open_writer
from raised.db.upgrade import upgrade

SERVER: Final = os.environ.get("RAISED_TEST_POSTGRES", "")
KINDS: Final = ("sqlite", "postgres") if SERVER else ("sqlite",)
NETWORK: Final = "regtest"


class Databases:
    """Makes databases of a kind of `KINDS`; `close` removes what the copies were made from."""

    def __init__(self) -> None:
        self._template: str | None = None  # PostgreSQL: the name of the migrated database

    @asynccontextmanager
    async def empty(self, kind: str, folder: Path) -> AsyncIterator[str]:
        """The URL of a database with nothing in it; on SQLite a file that does not exist yet."""
        if kind == "sqlite":
            yield sqlite_url(folder / "raised.db")
            return
        async with _postgres_database() as name:
            yield _postgres_url(name)

    @asynccontextmanager
    async def migrated(self, kind: str, folder: Path) -> AsyncIterator[str]:
        """The URL of a record of network regtest that is up to date and has no rows."""
        if kind == "sqlite":
            await make_sqlite_record(folder / "raised.db")
            yield sqlite_url(folder / "raised.db")
            return
        async with _postgres_database(await self._postgres_template()) as name:
            yield _postgres_url(name)

    async def close(self) -> None:
        """Drop the template."""
        if self._template is not None:
            await _on_server(f"DROP DATABASE {self._template} WITH (FORCE)")

    async def _postgres_template(self) -> str:
        if self._template is None:
            self._template = f"template_{secrets.token_hex(6)}"
            await _on_server(f"CREATE DATABASE {self._template}")
            # Upgrading closes its connections again: a template must have none while it is copied.
            await _upgrade(_postgres_url(self._template))
        return self._template


_sqlite_record: bytes = b""


async def make_sqlite_record(path: Path) -> str:
    """Write an up-to-date record without rows to this file; its URL."""
    global _sqlite_record  # noqa: PLW0603 - once a process, also for those who have no fixture
    if not _sqlite_record:
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "raised.db"
            await _upgrade(sqlite_url(template))
            # The last connection that closes moves the write-ahead log into the file.
            _sqlite_record = template.read_bytes()
    _write_private(path, _sqlite_record)
    return sqlite_url(path)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def sqlite_url(path: Path) -> str:
    """What RAISED_DATABASE_URL says for this file."""
    return f"sqlite+aiosqlite:///{path}"


async def _upgrade(url: str) -> None:
    engine = open_writer(url)
    await upgrade(engine, NETWORK)
    await engine.dispose()


def _postgres_url(name: str) -> str:
    address = SERVER.replace("postgresql://", "postgresql+asyncpg://")
    return f"{address.rsplit('/', 1)[0]}/{name}"


@asynccontextmanager
async def _postgres_database(template: str = "template1") -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    await _create_database(name, template)
    yield name
    await _on_server(f"DROP DATABASE {name} WITH (FORCE)")


async def _create_database(name: str, template: str) -> None:
    statement = f"CREATE DATABASE {name} TEMPLATE {template}"
    async with _server() as connection:
        if connection.get_server_version().major >= 15:
            # Older servers know no other; the newer ones' own is twice as slow for little data.
            statement += " STRATEGY file_copy"
        await connection.execute(statement)


async def _on_server(statement: str) -> None:
    async with _server() as connection:
        await connection.execute(statement)


@asynccontextmanager
async def _server() -> AsyncIterator[asyncpg.Connection]:
    """A bare connection: an engine asks the server five things before it does what it is told."""
    connection = await asyncpg.connect(SERVER)
    try:
        yield connection
    finally:
        await connection.close()

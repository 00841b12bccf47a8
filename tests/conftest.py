"""What many tests need: a record on each database."""

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from raised.db.engine import open_reader, open_writer
from raised.db.upgrade import upgrade

# The same examples on every run and on every machine, however busy it is.
settings.register_profile("raised", deadline=None, derandomize=True)
settings.load_profile("raised")

POSTGRES = os.environ.get("RAISED_TEST_POSTGRES")
DATABASES = ["sqlite", "postgres"] if POSTGRES else ["sqlite"]


@asynccontextmanager
async def _fresh_database(kind: str, folder: Path) -> AsyncIterator[str]:
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/raised.db"
        return
    assert POSTGRES
    name = f"test_{secrets.token_hex(6)}"
    server = POSTGRES.replace("postgresql://", "postgresql+asyncpg://")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as conn:
        await conn.execute(text(f"CREATE DATABASE {name}"))
    yield server.rsplit("/", 1)[0] + f"/{name}"
    async with admin.connect() as conn:
        await conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture(scope="session")
def fresh_database() -> Callable[[str, Path], AbstractAsyncContextManager[str]]:
    """The URL of an empty database of a kind, for tests that keep one for longer."""
    return _fresh_database


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database: SQLite, and PostgreSQL where RAISED_TEST_POSTGRES is."""
    async with _fresh_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that may write to an up-to-date record of network regtest."""
    engine = open_writer(database_url)
    await upgrade(engine, "regtest")
    yield engine
    await engine.dispose()


@pytest.fixture
async def reader(database_url: str, writer: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine that only reads the record that `writer` writes."""
    engine = open_reader(database_url)
    yield engine
    await engine.dispose()

"""What many tests need: a record on each database."""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from raised.db.engine import open_reader, open_writer
from raised.db.upgrade import upgrade

POSTGRES = os.environ.get("RAISED_TEST_POSTGRES")
DATABASES = ["sqlite", "postgres"] if POSTGRES else ["sqlite"]


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database: SQLite, and PostgreSQL where RAISED_TEST_POSTGRES is."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/raised.db"
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

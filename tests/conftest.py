"""What many tests need: a record on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.databases import KINDS, Databases

from raised.db.engine import open_reader, open_writer

# The same examples on every run and on every machine, however busy it is.
settings.register_profile("raised", deadline=None, derandomize=True)
settings.load_profile("raised")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def databases() -> AsyncIterator[Databases]:
    """Databases of both kinds, for tests that keep one for longer or need an empty one."""
    made = Databases()
    yield made
    await made.close()


@pytest.fixture(params=KINDS)
async def database_url(
    request: pytest.FixtureRequest, databases: Databases, tmp_path: Path
) -> AsyncIterator[str]:
    """The URL of an up-to-date record without rows, of network regtest.

    On SQLite, and on PostgreSQL where RAISED_TEST_POSTGRES is the URL of a server.
    """
    async with databases.migrated(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
async def empty_database_url(
    request: pytest.FixtureRequest, databases: Databases, tmp_path: Path
) -> AsyncIterator[str]:
    """The URL of a database that nobody has migrated."""
    async with databases.empty(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that may write to the record of `database_url`."""
    engine = open_writer(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def reader(database_url: str, writer: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine that only reads the record that `writer` writes."""
    engine = open_reader(database_url)
    yield engine
    await engine.dispose()

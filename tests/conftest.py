"""What many tests need: folders in memory, and a record on each database."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.databases import KINDS, Databases

from raised.db.engine import open_reader, open_writer

# The same examples on every run and on every machine, however busy it is.
settings.register_profile("raised", deadline=None, derandomize=True)
settings.load_profile("raised")

_MEMORY: Final = Path("/dev/shm")
_ENOUGH_BYTES: Final = 4 * 2**30  # containers often have 64 MB there; a run keeps less than 1 GB


def pytest_configure() -> None:
    """Make temporary folders in memory, where a commit waits for no disk: ours, and those of the
    programs that tests start.

    Tests end processes, never the machine: what a process has written outlives it there, too.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    if shutil.disk_usage(_MEMORY).free >= _ENOUGH_BYTES:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # pytest's capture has asked already, and the answer is kept


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three test processes for two cores: many a test waits for a time-out most of its time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    return cores + cores // 2


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

"""Both programs as systemd and people run them: signals, exit codes, one writer, a lost record."""

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pbk")

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.node import Message, Node

from raised.db.engine import sole_writer
from raised.errors import WrongRecord
from raised_simnet.demo.programs import Program
from raised_simnet.world import World

STREAMS = 3
LITTLE = 64


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(relays=1) as world:
        yield world


@pytest.fixture
async def box(world: World, database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with Node(tmp_path, world.settings(), database_url=database_url) as box:
        yield box


async def listen(box: Node, heard: asyncio.Queue[Message]) -> bool:
    """Read the stream until the server ends it."""
    async for message in box.stream():
        heard.put_nowait(message)
    return True


async def ended(program: Program) -> int:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await program.ended()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_up_makes_the_record_serves_and_ends_with_open_streams(
    world: World, empty_database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    async with Node(tmp_path, world.settings(), database_url=empty_database_url) as box:
        await box.both.start()
        await box.both.ready(box.client)
        messages: asyncio.Queue[Message] = asyncio.Queue()
        async with asyncio.TaskGroup() as group, asyncio.timeout(DEADLINE_SECONDS):
            streams = [group.create_task(listen(box, messages)) for _ in range(STREAMS)]
            assert {(await messages.get()).type for _ in streams} == {"hello"}
            box.both.signal(number)
            assert await ended(box.both) == 0
        assert all(stream.result() for stream in streams)
        assert await box.is_consistent()


async def test_up_that_is_killed_takes_its_programs_along(box: Node, database_url: str) -> None:
    """Else the next start would find that somebody writes already."""
    await box.both.start()
    await box.both.ready(box.client)
    assert not await is_free(database_url)
    await box.both.kill()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await serves(box) or not await is_free(database_url):  # noqa: ASYNC110 - two signs
            await asyncio.sleep(0.1)


async def serves(box: Node) -> bool:
    try:
        return (await box.client.get("/health/live")).is_success
    except httpx.TransportError:
        return False


async def is_free(database_url: str) -> bool:
    """Whether nobody writes to the record."""
    try:
        async with sole_writer(database_url):
            return True
    except WrongRecord:
        return False


async def test_up_ends_when_one_of_its_programs_does(box: Node) -> None:
    """A daemon that may not write is no reason to serve an old record as if it were alive."""
    await box.start()
    await box.api.stop()
    await box.both.start()
    assert await ended(box.both) == 78


async def test_one_record_has_one_writer(box: Node) -> None:
    await box.start()
    second = await box.command("run")
    assert second.code == 78
    assert "another `raised run`" in second.words
    assert (await box.get("/health/ready"))["daemon"]["alive"]


async def test_the_daemon_drains_and_goes_on_where_it_ended(box: Node, world: World) -> None:
    await box.start()
    before = (await box.summary())["as_of"]
    await box.daemon.stop()
    assert await box.daemon.ended() == 0
    world.chain.mine_many(3)
    await box.daemon.start()
    await box.until("/api/v1/summary", lambda s: s["as_of"]["hash"] == world.chain.tip_hash)
    told = await box.items("/api/v1/changes", after=before["seq"], type="tip")
    heights = [before["height"], *(tip["data"]["height"] for tip in told)]
    assert heights == sorted(set(heights))
    assert heights[-1] == before["height"] + 3
    assert await box.is_consistent()


async def test_systemd_hears_when_it_is_ready_alive_and_stopping(
    world: World, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(address)
        loop = asyncio.get_running_loop()

        async def hear(*wanted: bytes) -> None:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await loop.sock_recv(systemd, LITTLE) not in wanted:
                    pass

        async with Node(tmp_path, world.settings(), NOTIFY_SOCKET=address) as box:
            await box.make_record()
            for program in (box.daemon, box.api):
                await program.start()
                await hear(b"READY=1")
            await hear(b"WATCHDOG=1")
            box.daemon.signal(signal.SIGTERM)
            await hear(b"STOPPING=1")
            assert await ended(box.daemon) == 0


async def test_a_record_that_takes_no_more_ends_the_daemon_and_the_next_start_goes_on(
    box: Node,
    world: World,
    database_url: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await box.start()
    if database_url.startswith("sqlite"):
        written = (tmp_path / "raised.db-wal").stat().st_size
        resource.prlimit(box.daemon.pid, resource.RLIMIT_FSIZE, (written, written))
    else:
        await refuse_everybody(database_url)
    async with asyncio.TaskGroup() as group:
        end = group.create_task(ended(box.daemon))
        while not end.done():
            world.chain.mine()
            await asyncio.wait([end], timeout=1)
    assert end.result() == 1
    assert "raised: the database" in capfd.readouterr().err
    await box.daemon.start()
    await box.until("/api/v1/summary", lambda s: s["as_of"]["hash"] == world.chain.tip_hash)
    assert await box.is_consistent()


async def refuse_everybody(database_url: str) -> None:
    """End every connection to the database."""
    engine = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as conn:
        await conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await engine.dispose()

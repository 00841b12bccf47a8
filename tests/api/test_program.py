"""The program itself: refuses in a sentence, says when it is ready, ends quickly when asked."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.db.engine import open_writer, transact
from raised.db.requests.api_keys import add_key, new_key

TOML = """
network = "regtest"
[[relay]]
url = "ws://127.0.0.1:9"
[[chain.explorer]]
url = "http://127.0.0.1:9"
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """`async with start(database_url, …) as process`: `raised api` with these settings."""
    config = tmp_path / "relays.toml"
    config.write_text(TOML)

    @asynccontextmanager
    async def started(database_url: str, **settings: str) -> AsyncIterator[Process]:
        environ = {key: value for key, value in os.environ.items() if key != "RAISED_CONFIG"}
        environ |= {"RAISED_DATABASE_URL": database_url, "RAISED_API_BIND": "127.0.0.1:0"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "raised", "--config", str(config), "api"),
            env=environ | settings,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return started


async def end_of(process: Process) -> tuple[int, str]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        _, output = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_without_a_schema_it_refuses_and_names_the_command(
    start: Any, empty_database_url: str
) -> None:
    async with start(empty_database_url) as process:
        code, output = await end_of(process)
    assert code == 78
    assert "raised db upgrade" in output


async def test_an_open_address_without_a_key_is_refused(start: Any, database_url: str) -> None:
    async with start(database_url, RAISED_API_BIND="0.0.0.0:0") as process:
        code, output = await end_of(process)
    assert code == 78
    assert "RAISED_API_PUBLIC" in output


@asynccontextmanager
async def listened(path: Path) -> AsyncIterator[socket.socket]:
    """A socket such as systemd gives."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.setblocking(False)
        yield notify


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def test_it_says_that_it_is_ready_and_ends_with_open_streams_at_once(
    start: Any, database_url: str, tmp_path: Path
) -> None:
    address, loop = free_address(), asyncio.get_running_loop()
    settings = {"RAISED_API_BIND": address, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    async with (
        listened(tmp_path / "notify") as notify,
        start(database_url, **settings) as process,
    ):
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await loop.sock_recv(notify, 100) == b"READY=1"
        async with httpx.AsyncClient(
            base_url=f"http://{address}", timeout=DEADLINE_SECONDS
        ) as client:
            assert (await client.get("/api/v1/summary")).status_code == 200
            async with client.stream("GET", "/api/v1/changes/stream") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "retry: 3000"
                process.send_signal(signal.SIGTERM)
                # A stream that the server cut off after its grace time would raise.
                async with asyncio.timeout(DEADLINE_SECONDS):
                    assert [line async for line in lines][-1] == ""
            code, _ = await end_of(process)
    assert code == 0


async def test_it_feeds_the_watchdog_while_it_can_read_the_record(
    start: Any, database_url: str, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    async with listened(tmp_path / "notify") as notify, start(database_url, **settings):
        output = set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            for _ in range(5):
                output.add(await loop.sock_recv(notify, 100))
    assert output == {b"READY=1", b"WATCHDOG=1"}


async def test_a_fault_of_the_follower_ends_the_program(
    start: Any, database_url: str, tmp_path: Path
) -> None:
    """What we do not understand is not lived with: here, what no daemon of ours writes."""
    settings = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    async with (
        listened(tmp_path / "notify") as notify,
        start(database_url, **settings) as process,
    ):
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.get_running_loop().sock_recv(notify, 100)
        engine = open_writer(database_url)
        async with engine.begin() as conn:
            row = {"id": 1, "version": "0", "started_at": 1, "seen_at": 1, "progress": "{}"}
            await conn.execute(schema.daemon.insert().values(**row, settings="no JSON"))
            change = {"seq": 1, "type": "tip", "at": 1, "source": "chain", "data": "{}"}
            await conn.execute(schema.change.insert().values(**change))
        await engine.dispose()
        code, output = await end_of(process)
    assert code == 1
    assert "JSON is malformed" in output


async def test_a_taken_address_is_refused_by_name(start: Any, database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with start(database_url, RAISED_API_BIND=f"127.0.0.1:{port}") as process:
            code, output = await end_of(process)
    assert code == 78
    assert f"RAISED_API_BIND: 127.0.0.1:{port}: Address already in use" in output


async def test_without_a_database_it_refuses(start: Any, tmp_path: Path) -> None:
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/nowhere/raised.db"
    async with start(nowhere) as process:
        code, output = await end_of(process)
    assert code == 78
    assert "raised db upgrade" in output


async def test_an_open_address_is_for_those_with_a_key(start: Any, database_url: str) -> None:
    key, engine = new_key(["read"]), open_writer(database_url)
    await transact(engine, add_key, key, ["read"], 1)
    await engine.dispose()
    port = free_address().rpartition(":")[2]
    async with (
        start(database_url, RAISED_API_BIND=f"0.0.0.0:{port}") as process,
        httpx.AsyncClient() as client,
    ):
        url = f"http://127.0.0.1:{port}/api/v1/summary"
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    answer = await client.get(url)
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        assert answer.status_code == 401
        answer = await client.get(url, headers={"authorization": f"Bearer {key.token}"})
        assert answer.status_code == 200
        process.terminate()
        await end_of(process)

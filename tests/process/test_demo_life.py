"""The demo beside a real record: it leaves that alone, and leaves nothing behind when killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pbk")

from tests.rig.databases import make_sqlite_record, sqlite_url
from tests.rig.deadline import DEADLINE_SECONDS

from raised_simnet.demo.programs import environment, free_port

SUMMARY = "/api/v1/summary"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    address = f"http://127.0.0.1:{free_port()}"
    async with httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client:
        yield client


def descendants(pid: int) -> set[int]:
    """The processes that this one has started, and those that they have."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it has just ended
        parent = int(text.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, new = set[int](), [pid]
    while new:
        new = [child for each in new for child in parents.get(each, [])]
        found.update(new)
    return found


def runs(pid: int) -> bool:
    """Whether this process is there and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


async def test_a_demo_has_a_record_of_its_own_and_ends_with_all_its_programs(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    real = tmp_path / "real.db"
    await make_sqlite_record(real)
    before = real.read_bytes()
    shell = {
        "RAISED_DATABASE_URL": sqlite_url(real),
        "RAISED_API_PUBLIC": "false",
        "RAISED_CONFIG": "/nowhere/relays.toml",
        "RAISED_COLOUR": "unknown",
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
    }
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "raised_simnet", "--speed", "50"),
        *("--port", str(client.base_url.port)),
        env={**os.environ, **shell},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await shows_projects(client):
                assert demo.returncode is None
                await asyncio.sleep(0.2)
        children = descendants(demo.pid)
        assert len(children) >= 3, "up, run and api at least"
        demo.send_signal(signal.SIGKILL)
        await demo.wait()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while any(runs(pid) for pid in children):  # noqa: ASYNC110 - others' processes
                await asyncio.sleep(0.1)
    finally:
        if demo.returncode is None:
            demo.terminate()
            await demo.wait()
    assert real.read_bytes() == before
    assert names(tmp_path) == ["real.db"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def shows_projects(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get(SUMMARY)
    except httpx.HTTPError:
        return False
    return answer.is_success and bool(answer.json()["projects"]["announced"])


def test_only_an_explicit_database_outranks_the_demos_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAISED_DATABASE_URL", "postgresql://localhost/real")
    monkeypatch.setenv("RAISED_BTCPAY_SHOP_API_KEY_FILE", "/etc/raised/key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("HOME", "/home/somebody")
    ours = environment(tmp_path / "relays.toml", 8721)
    assert ours["RAISED_DATABASE_URL"] == f"sqlite+aiosqlite:///{tmp_path}/raised.db"
    assert ours["HOME"] == "/home/somebody"
    assert not {"RAISED_BTCPAY_SHOP_API_KEY_FILE", "CREDENTIALS_DIRECTORY"} & ours.keys()
    named = environment(tmp_path / "relays.toml", 8721, "postgresql://localhost/demo")
    assert named["RAISED_DATABASE_URL"] == "postgresql://localhost/demo"

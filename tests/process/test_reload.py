"""SIGHUP: other relays are followed without a restart, and a bad file changes nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("pbk")

from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.node import Node

from raised_simnet.demo.programs import Program
from raised_simnet.world import World

POLL_SECONDS = 0.1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(relays=2) as world:
        yield world


@pytest.fixture
async def box(world: World, tmp_path: Path) -> AsyncIterator[Node]:
    async with Node(tmp_path, settings(world, relays=1)) as box:
        yield box


def settings(world: World, relays: int) -> str:
    """The world's settings with so many of its relays."""
    head, *parts = world.settings().split("[[relay]]\n")
    urls = [part.splitlines()[0] for part in parts]
    explorer = parts[-1].removeprefix(urls[-1])
    return head + "".join(f"[[relay]]\n{url}\n" for url in urls[:relays]) + explorer


def up(count: int) -> Any:
    def shown(answer: dict[str, Any]) -> bool:
        return [item["state"] for item in answer["items"]] == ["ok"] * count

    return shown


def rewrite(box: Node, text: str, program: Program | None = None) -> None:
    Path(box.environment["RAISED_CONFIG"]).write_text(text)
    (program or box.daemon).signal(signal.SIGHUP)


async def test_the_relays_of_the_new_file_are_followed_and_a_bad_one_changes_nothing(
    box: Node, world: World
) -> None:
    await box.start()
    await box.until("/api/v1/relays", up(1))
    rewrite(box, settings(world, relays=2))
    await box.until("/api/v1/relays", up(2))
    rewrite(box, "network = 5")
    await box.until("/health/ready", lambda health: len(health["relays"]) == 2)
    rewrite(box, settings(world, relays=1))
    await box.until("/api/v1/relays", up(1))


async def test_a_key_file_that_cannot_be_read_does_not_end_the_daemon(
    box: Node, world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await box.start()
    await box.until("/api/v1/relays", up(1))
    key_file = f'auth_key_file = "{tmp_path}/missing"\n'
    rewrite(box, settings(world, relays=2).replace("[[chain", f"{key_file}[[chain", 1))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while "not reloaded" not in capfd.readouterr().err:  # noqa: ASYNC110 - another process'
            await asyncio.sleep(POLL_SECONDS)
    rewrite(box, settings(world, relays=2))
    await box.until("/api/v1/relays", up(2))


async def test_up_passes_the_signal_on_to_the_daemon(box: Node, world: World) -> None:
    await box.both.start()
    await box.both.ready(box.client)
    await box.until("/api/v1/relays", up(1))
    rewrite(box, settings(world, relays=2), box.both)
    await box.until("/api/v1/relays", up(2))


async def test_the_daemon_measures_itself(box: Node) -> None:
    await box.start()
    await box.until("/api/v1/relays", up(1))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{box.environment['RAISED_METRICS_BIND']}/metrics")
    assert 'raised_source_up{kind="relay"' in answer.text
    assert "raised_commit_seconds_count" in answer.text

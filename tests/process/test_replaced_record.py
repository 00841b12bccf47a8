"""The record deleted or replaced under a running daemon: it ends, and the next start goes on."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.node import Node
from tests.rig.record_accidents import copy_backup_over, delete, move_backup_over

from raised_simnet.world import World


@pytest.mark.parametrize("happens", [delete, move_backup_over, copy_backup_over])
async def test_both_programs_end_and_say_what_to_do(
    tmp_path: Path, happens: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    async with World(relays=1) as world, Node(tmp_path, world.settings()) as box:
        await box.start()
        happens(tmp_path / "raised.db")
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await box.daemon.ended() == 1
            assert await box.api.ended() == 1
        words = capfd.readouterr().err
        assert words.count(f"raised: the record {tmp_path / 'raised.db'} was ") == 2
        assert "start again" in words
        made = await box.command("db", "upgrade")
        assert made.code == 0, made.words
        await box.start()
        await box.until("/health", lambda health: health["status"] in {"ready", "degraded"})
        assert await box.is_consistent()

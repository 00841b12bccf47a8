"""`raised check`: every source tried once."""

from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Node

from raised_simnet.world import World


async def test_a_world_in_order_is_0_and_every_source_is_named(tmp_path: Path) -> None:
    async with World() as world, Node(tmp_path, world.settings()) as box:
        check = await box.command("check")
        assert check.code == 0
        for url in (*(r.url for r in world.relays), *(e.url for e in world.explorers)):
            assert url in check.out
        assert "FAILED" not in check.out


async def test_what_does_not_work_is_named_and_1(tmp_path: Path) -> None:
    async with World(explorers=2) as world, Node(tmp_path, world.settings()) as box:
        world.relays[1].kill()
        world.explorers[1].down()
        check = await box.command("check")
        assert check.code == 1
        failed = {line.split()[2] for line in check.out.splitlines() if line.startswith("FAILED")}
        assert failed == {world.relays[1].url, world.explorers[1].url}


async def test_a_world_of_another_chain_is_no_source(tmp_path: Path) -> None:
    async with World() as world:
        settings = world.settings().replace('network = "regtest"', 'network = "signet"')
        async with Node(tmp_path, settings) as box:
            check = await box.command("check")
    assert check.code == 1
    assert world.explorer.url in check.out

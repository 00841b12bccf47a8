"""`raised check`: every source tried once."""

from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Node

from raised_simnet.explorer.faults import Faults
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


async def test_a_store_without_its_key_is_a_row_of_the_table(tmp_path: Path) -> None:
    async with World() as world:
        stores = """
[[btcpay]]
label = "shop"
url = "http://127.0.0.1:1"
store_id = "abc"
[[btcpay]]
label = "stand"
url = "http://127.0.0.1:1"
store_id = "def"
"""
        async with Node(tmp_path, world.settings() + stores) as box:
            check = await box.command("check")
    assert check.code == 1
    lines = check.out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("FAILED")] == ["shop", "stand"]
    assert "RAISED_BTCPAY_SHOP_API_KEY_FILE" in check.out
    assert sum(line.startswith("ok") for line in lines) == len(world.relays) + 1
    assert "Traceback" not in check.out


async def test_an_explorer_that_redirects_is_followed_or_says_where_to(tmp_path: Path) -> None:
    async with World(explorers=3) as world, Node(tmp_path, world.settings()) as box:
        moved, elsewhere, good = world.explorers
        moved.faults = Faults(redirect=good.url)
        elsewhere.faults = Faults(redirect="https://explorer.example", status=308)
        check = await box.command("check")
    assert check.code == 1
    lines = {line.split()[2]: line for line in check.out.splitlines()[1:]}
    assert lines[moved.url].startswith("ok")
    assert lines[elsewhere.url].startswith("FAILED")
    assert "redirects to explorer.example" in lines[elsewhere.url]

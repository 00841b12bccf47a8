"""A reorg deeper than finality that all explorers show, on the whole stack."""

from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Node

from raised_simnet.world import World


async def test_an_operator_is_told_what_to_type_and_then_it_goes_on(tmp_path: Path) -> None:
    async with World(explorers=2) as world:
        settings = world.settings() + "\n[chain]\nagreement = 2\nfinality = 3\n"
        async with Node(tmp_path, settings) as box:
            await box.start()
            tip = world.chain.height
            await box.until("/api/v1/summary", lambda found: found["as_of"]["height"] == tip)
            world.chain.reorg(40, keep=False)
            assert await box.daemon.ended() == 1
            found = await box.get("/api/v1/problems")
            sentences = {(row["source"], row["code"]): row["detail"] for row in found["items"]}
            assert "`raised db rewind --to HEIGHT`" in sentences["chain", "deep_fork"]
            assert not {source for source, _ in sentences} & {e.url for e in world.explorers}
            assert (await box.get("/api/v1/summary"))["as_of"]["stale"]
            assert (await box.command("db", "rewind", "--to", str(tip - 40))).code == 0
            await box.daemon.start()
            await box.until(
                "/api/v1/summary",
                lambda found: found["as_of"]["hash"] == world.chain.tip_hash,
            )
            await box.until("/api/v1/problems", lambda found: not found["items"])

"""Blocks that are replaced: what was only in them is taken back, what is in their place counts."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Shown, Stage, following, hurried, staged

from raised.domain.observation import BlockSeen, RolledBack, SourceHealth


def shown(investments: int) -> Shown:
    return Shown(99_000 * investments, 0, investments)


def replace_blocks(stage: Stage, depth: int) -> None:
    """Every block held one investment; in their place is one block with another, then empty."""
    stage.world.chain.reorg(depth, [[stage.invest().tx]], keep=False)


@pytest.mark.parametrize("depth", range(1, 7))
async def test_a_reorg_is_followed(writer: AsyncEngine, depth: int) -> None:
    async with staged() as stage:
        chain = stage.world.chain
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            fork = chain.height
            for _ in range(depth):
                stage.mine_investment()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == shown(1 + depth)
            replace_blocks(stage, depth)
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == shown(2)
            assert {one.to.height for one in follower.of(RolledBack)} == {fork}
            assert await follower.is_sound(stage.world)


@pytest.mark.parametrize("depth", [1, 3, 6])
async def test_a_reorg_while_nobody_looked_is_followed(writer: AsyncEngine, depth: int) -> None:
    async with staged() as stage:
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            for _ in range(depth):
                stage.mine_investment()
            await follower.caught_up(stage.world)
        replace_blocks(stage, depth)
        async with following(hurried(stage.world), writer) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == shown(2)
            assert len(follower.of(RolledBack)) == 1
            assert await follower.is_sound(stage.world)


@pytest.mark.parametrize("depth", [2, 6, 90])
async def test_a_reorg_after_the_very_first_look_is_followed(
    writer: AsyncEngine, depth: int
) -> None:
    """What is below the first tip is in the record, too: there is something to go back to."""
    async with staged() as stage:
        stage.world.chain.mine_many(depth - 1)
        stage.mine_investment()
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == shown(2)
            assert not follower.of(BlockSeen)
        stage.world.chain.reorg(depth, keep=False)
        async with following(hurried(stage.world), writer) as follower:
            await follower.caught_up(stage.world)
            fork = stage.world.chain.height - depth - 1
            assert [one.to.height for one in follower.of(RolledBack)] == [fork]
            assert await follower.shown(stage.venture) == shown(1)
            assert await follower.is_sound(stage.world)


async def test_a_tip_that_goes_back_for_a_moment_takes_nothing_back(writer: AsyncEngine) -> None:
    async with staged() as stage:
        explorer = stage.world.explorer
        settings = replace(hurried(stage.world), patience_seconds=60)
        async with following(settings, writer, stage.venture) as follower:
            for _ in range(3):
                stage.mine_investment()
            await follower.caught_up(stage.world)
            explorer.view.lag = 3
            await follower.until(lambda: _state(follower.health(explorer)) == "degraded")
            assert await follower.shown(stage.venture) == shown(4)
            explorer.view.lag = 0
            stage.mine_investment()
            await follower.caught_up(stage.world)
            await follower.until(lambda: _state(follower.health(explorer)) == "ok")
            assert await follower.shown(stage.venture) == shown(5)
            assert not follower.of(RolledBack)


async def test_a_tip_that_stays_back_is_believed_in_the_end(writer: AsyncEngine) -> None:
    async with staged() as stage:
        explorer = stage.world.explorer
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            explorer.view.lag = 1
            await follower.until(lambda: bool(follower.of(RolledBack)))
            assert await follower.shown(stage.venture) == shown(1)
            explorer.view.lag = 0
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == shown(2)
            assert await follower.is_sound(stage.world)


def _state(health: SourceHealth | None) -> str | None:
    return health.state if health else None

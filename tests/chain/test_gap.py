"""More blocks than shall be read one by one: address histories tell what they held."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Shown, following, hurried, staged

from raised.domain.observation import BlockSeen, HistorySeen, TipSeen


async def test_across_a_gap_histories_are_read_again(writer: AsyncEngine) -> None:
    async with staged() as stage:
        settings = replace(hurried(stage.world), catch_up_blocks=3)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert [one.gap for one in follower.of(TipSeen)] == [False]
        stake = stage.mine_investment()
        stage.world.chain.mine([stage.venture.claim(stake)])
        stage.world.chain.mine_many(5)
        async with following(settings, writer) as follower:
            await follower.caught_up(stage.world)
            assert [one.gap for one in follower.of(TipSeen)] == [True]
            assert [one.project_id for one in follower.of(HistorySeen)] == [
                stage.venture.project_id
            ]
            assert not follower.of(BlockSeen)
            claimed = stake.coins[0].stage.value
            assert await follower.shown(stage.venture) == Shown(198_000, claimed, 2)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(297_000, claimed, 3)
            assert len(follower.of(BlockSeen)) == 1
            assert await follower.is_sound(stage.world)


async def test_as_many_blocks_as_allowed_are_read_one_by_one(writer: AsyncEngine) -> None:
    async with staged() as stage:
        settings = replace(hurried(stage.world), catch_up_blocks=3)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
        for _ in range(3):
            stage.mine_investment()
        async with following(settings, writer) as follower:
            await follower.caught_up(stage.world)
            assert len(follower.of(BlockSeen)) == 3
            assert not follower.of(TipSeen)
            assert await follower.shown(stage.venture) == Shown(4 * 99_000, 0, 4)

"""More blocks than shall be read one by one: address histories tell what they held."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import ProjectTotals, fast_settings, following, funded_project

from raised.domain.observation import BlockSeen, HistorySeen, TipSeen


async def test_across_a_gap_histories_are_read_again(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        settings = replace(fast_settings(funded.world), catch_up_blocks=3)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert [tip.gap for tip in observed.of_kind(TipSeen)] == [False]
        investment = funded.mine_investment()
        funded.world.chain.mine([funded.project.claim(investment)])
        funded.world.chain.mine_many(5)
        async with following(settings, writer) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert [tip.gap for tip in observed.of_kind(TipSeen)] == [True]
            assert [history.project_id for history in observed.of_kind(HistorySeen)] == [
                funded.project.project_id
            ]
            assert not observed.of_kind(BlockSeen)
            claimed = investment.coins[0].stage.value
            assert await observed.totals(funded.project) == ProjectTotals(198_000, claimed, 2)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(297_000, claimed, 3)
            assert len(observed.of_kind(BlockSeen)) == 1
            assert await observed.is_consistent(funded.world)


async def test_as_many_blocks_as_allowed_are_read_one_by_one(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        settings = replace(fast_settings(funded.world), catch_up_blocks=3)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
        for _ in range(3):
            funded.mine_investment()
        async with following(settings, writer) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert len(observed.of_kind(BlockSeen)) == 3
            assert not observed.of_kind(TipSeen)
            assert await observed.totals(funded.project) == ProjectTotals(4 * 99_000, 0, 4)

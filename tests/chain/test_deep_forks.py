"""An explorer whose chain left ours below everything we keep."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import ProjectTotals, fast_settings, following, funded_project

from raised_simnet.world import World


async def test_a_foreign_chain_is_not_followed_even_when_ours_is_out_of_reach(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(funded.world.chain.height + 5)
        ours, other = fast_settings(funded.world), fast_settings(foreign)
        settings = replace(ours, explorers=ours.explorers + other.explorers)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            funded.world.explorer.down()
            await observed.wait_for_error(foreign.explorer, "deep_fork")
            funded.world.explorer.up()
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)
            assert await observed.is_consistent(funded.world)

"""An explorer whose chain left ours below everything we keep."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Shown, following, hurried, staged

from raised_simnet.world import World


async def test_a_foreign_chain_is_not_followed_even_when_ours_is_out_of_reach(
    writer: AsyncEngine,
) -> None:
    async with staged() as stage, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(stage.world.chain.height + 5)
        ours, other = hurried(stage.world), hurried(foreign)
        settings = replace(ours, explorers=ours.explorers + other.explorers)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stage.world.explorer.down()
            await follower.named(foreign.explorer, "deep_fork")
            stage.world.explorer.up()
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(198_000, 0, 2)
            assert await follower.is_sound(stage.world)

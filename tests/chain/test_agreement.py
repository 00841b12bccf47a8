"""Several explorers at the very first tip: one alone must not choose the chain that is followed."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Follower, Shown, following, hurried, staged

from raised.domain.observation import SourceHealth, TipSeen
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer
from raised_simnet.world import World

ONE = Shown(99_000, 0, 1)


async def test_no_chain_is_followed_before_as_many_as_asked_for_show_it(
    writer: AsyncEngine,
) -> None:
    async with staged() as stage, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(stage.world.chain.height + 5)
        ours, other = hurried(stage.world), hurried(foreign)
        settings = replace(ours, explorers=other.explorers + ours.explorers, agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.until(lambda: _opponents(follower, stage.world.explorer) != ())
            await follower.until(lambda: _opponents(follower, foreign.explorer) != ())
            assert _opponents(follower, stage.world.explorer) == (foreign.explorer.url,)
            assert _opponents(follower, foreign.explorer) == (stage.world.explorer.url,)
            assert {one.state for one in follower.of(SourceHealth)} <= {"degraded", "down"}
            assert not follower.of(TipSeen)
            foreign.explorer.down()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE


async def test_the_quickest_does_not_choose_the_chain_alone(writer: AsyncEngine) -> None:
    async with staged() as stage, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(stage.world.chain.height + 5)
        stage.world.explorer.faults = Faults(delay_seconds=0.7)
        ours, other = hurried(stage.world), hurried(foreign)
        settings = replace(ours, explorers=other.explorers + ours.explorers, agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.until(lambda: _opponents(follower, stage.world.explorer) != ())
            assert not follower.of(TipSeen)


async def test_the_first_tip_may_be_the_lower_one_of_two_that_agree(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.explorers[1].view.lag = 1
        settings = replace(hurried(stage.world), agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.until(lambda: bool(follower.of(TipSeen)))
            assert follower.of(TipSeen)[0].block.height == stage.world.chain.height - 1
            stage.world.explorers[1].view.lag = 0
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE


def _opponents(follower: Follower, explorer: Explorer) -> object:
    health = follower.health(explorer)
    return health.facts["disagrees_with"] if health else ()

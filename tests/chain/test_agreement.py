"""Several explorers at the very first tip: one alone must not choose the chain that is followed."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.observation import SourceHealth, TipSeen
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer
from raised_simnet.world import World

ONE = ProjectTotals(99_000, 0, 1)


async def test_no_chain_is_followed_before_as_many_as_asked_for_show_it(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(funded.world.chain.height + 5)
        ours, other = fast_settings(funded.world), fast_settings(foreign)
        settings = replace(ours, explorers=other.explorers + ours.explorers, agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until(lambda: _opponents(observed, funded.world.explorer) != ())
            await observed.wait_until(lambda: _opponents(observed, foreign.explorer) != ())
            assert _opponents(observed, funded.world.explorer) == (foreign.explorer.url,)
            assert _opponents(observed, foreign.explorer) == (funded.world.explorer.url,)
            assert {health.state for health in observed.of_kind(SourceHealth)} <= {
                "degraded",
                "down",
            }
            assert not observed.of_kind(TipSeen)
            foreign.explorer.down()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE


async def test_the_quickest_does_not_choose_the_chain_alone(writer: AsyncEngine) -> None:
    async with funded_project() as funded, World(relays=0, start_time=1_690_000_000) as foreign:
        foreign.chain.mine_many(funded.world.chain.height + 5)
        funded.world.explorer.faults = Faults(delay_seconds=0.7)
        ours, other = fast_settings(funded.world), fast_settings(foreign)
        settings = replace(ours, explorers=other.explorers + ours.explorers, agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until(lambda: _opponents(observed, funded.world.explorer) != ())
            assert not observed.of_kind(TipSeen)


async def test_the_first_tip_may_be_the_lower_one_of_two_that_agree(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.explorers[1].view.lag = 1
        settings = replace(fast_settings(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until(lambda: bool(observed.of_kind(TipSeen)))
            assert observed.of_kind(TipSeen)[0].block.height == funded.world.chain.height - 1
            funded.world.explorers[1].view.lag = 0
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE


def _opponents(observed: ObservationLog, explorer: Explorer) -> object:
    health = observed.health(explorer)
    return health.facts["disagrees_with"] if health else ()

"""An explorer whose chain left ours below everything we keep."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import ProjectTotals, fast_settings, following, funded_project

from raised.domain.observation import GroupProblems
from raised.errors import RecordUnavailable
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


@pytest.mark.parametrize(("explorers", "down"), [(1, 0), (2, 0), (3, 0), (3, 1)])
async def test_what_all_explorers_show_is_for_the_operator_to_decide(
    writer: AsyncEngine, explorers: int, down: int
) -> None:
    async with funded_project(explorers=explorers) as funded:
        settings = replace(fast_settings(funded.world), finality=3)
        asked = funded.world.explorers[down:]
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for explorer in funded.world.explorers[:down]:
                explorer.down()
            funded.world.chain.reorg(40, keep=False)
            error = await observed.wait_for_end()
        sentence = str(error)
        assert isinstance(error, RecordUnavailable)
        assert "`raised db rewind --to HEIGHT`" in sentence
        assert sum(explorer.url in sentence for explorer in asked) >= min(2, explorers)
        for explorer in asked:
            health = observed.health(explorer)
            assert health is not None
            assert (health.state, health.errors.get("deep_fork", 0)) == ("ok", 0)
        problems = observed.of_kind(GroupProblems)[-1].problems
        assert [(problem.code, problem.detail) for problem in problems] == [("deep_fork", sentence)]


async def test_as_long_as_an_explorer_shows_our_chain_nothing_is_to_be_decided(
    writer: AsyncEngine,
) -> None:
    async with funded_project(explorers=3) as funded:
        settings = replace(fast_settings(funded.world), finality=3)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            ours, *others = funded.world.explorers
            ours.view.pinned = funded.world.chain.tip_hash
            funded.world.chain.reorg(40, keep=False)
            for explorer in others:
                health = await observed.wait_for_error(explorer, "deep_fork")
                assert health.state == "degraded"
            assert observed.health(ours) is not None
            assert await observed.totals(funded.project) == ProjectTotals(99_000, 0, 1)

"""Two explorers that name different old blocks: the false one is named, nothing wrong counts."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ObservationLog,
    ProjectTotals,
    following,
    funded_project,
)
from tests.rig.lying_explorer import LyingExplorer, with_work
from tests.rig.rewritten_history import (
    OLD_BLOCKS,
    investment_height,
    opponents_of,
    short_chain_settings,
    state_of,
)

from raised.domain.observation import HistorySeen, SourceHealth
from raised_simnet.explorer.server import Explorer

ONE = ProjectTotals(99_000, 0, 1)


@pytest.mark.parametrize("links_affordable", [True, False])
@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("names", [True, False])
async def test_beside_an_honest_explorer_a_false_one_costs_itself_alone(
    writer: AsyncEngine, position: int, names: bool, links_affordable: bool
) -> None:
    """Whichever is read from; whether or not the false one names the block when asked, too."""
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        lying, honest = funded.world.explorers[position], funded.world.explorers[1 - position]
        lying.view = _lying_view(funded, investment_height(funded) + 2, names=names)
        settings = short_chain_settings(funded, links_affordable=links_affordable)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            assert await observed.is_consistent(funded.world)
            assert {history.explorer for history in observed.of_kind(HistorySeen)} == {honest.url}
            if position == 0:
                await observed.wait_for_error(lying, "foreign_block")
            assert not _blamed(observed, honest)


async def test_who_contradicts_itself_about_an_old_block_is_named(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        honest, lying = funded.world.explorers
        lying.view = _lying_view(funded, investment_height(funded))
        async with following(short_chain_settings(funded), writer, funded.project) as observed:
            await observed.wait_for_error(lying, "foreign_block")
            await observed.wait_until(lambda: opponents_of(observed, lying) == (honest.url,))
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            assert not _blamed(observed, honest)
            await observed.wait_until(lambda: state_of(observed, honest) == "ok")


async def test_nothing_is_committed_while_nobody_can_say_who_is_right(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        honest, lying = funded.world.explorers
        lying.view = view = _lying_view(funded, investment_height(funded))
        view.silent = range(investment_height(funded) + 1, funded.world.chain.height - 40)
        settings = short_chain_settings(funded, links_affordable=False)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_for_error(honest, "disputed")
            await observed.wait_until(lambda: opponents_of(observed, honest) == (lying.url,))
            assert not observed.of_kind(HistorySeen)


async def test_who_is_contradicted_can_prove_itself(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        honest, lying = funded.world.explorers
        lying.view = view = _lying_view(funded, investment_height(funded))
        view.silent = range(investment_height(funded) + 1, funded.world.chain.height - 40)
        async with following(short_chain_settings(funded), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            assert {history.explorer for history in observed.of_kind(HistorySeen)} == {honest.url}


def _lying_view(funded: FundedProject, height: int, *, names: bool = True) -> LyingExplorer:
    """One that has an investment in another block of this height, and perhaps says it is there."""
    other = funded.invest()
    invented = with_work(funded.world.chain, height, other.tx)
    return LyingExplorer(funded.world.chain, invented, other.tx.txid, names=names)


def _blamed(observed: ObservationLog, explorer: Explorer) -> bool:
    reports = (health for health in observed.of_kind(SourceHealth) if health.name == explorer.url)
    return any("foreign_block" in health.errors for health in reports)

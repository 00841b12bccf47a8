"""Blocks that are replaced: what was only in them is taken back, what is in their place counts."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.observation import BlockSeen, RolledBack, SourceHealth


def totals(investments: int) -> ProjectTotals:
    return ProjectTotals(99_000 * investments, 0, investments)


def replace_blocks(funded: FundedProject, depth: int) -> None:
    """Every block held one investment; in their place is one block with another, then empty."""
    funded.world.chain.reorg(depth, [[funded.invest().tx]], keep=False)


@pytest.mark.parametrize("depth", range(1, 7))
async def test_a_reorg_is_followed(writer: AsyncEngine, depth: int) -> None:
    async with funded_project() as funded:
        chain = funded.world.chain
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            fork = chain.height
            for _ in range(depth):
                funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == totals(1 + depth)
            replace_blocks(funded, depth)
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == totals(2)
            assert {rollback.to.height for rollback in observed.of_kind(RolledBack)} == {fork}
            assert await observed.is_consistent(funded.world)


@pytest.mark.parametrize("depth", [1, 3, 6])
async def test_a_reorg_while_nobody_looked_is_followed(writer: AsyncEngine, depth: int) -> None:
    async with funded_project() as funded:
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for _ in range(depth):
                funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
        replace_blocks(funded, depth)
        async with following(fast_settings(funded.world), writer) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == totals(2)
            assert len(observed.of_kind(RolledBack)) == 1
            assert await observed.is_consistent(funded.world)


@pytest.mark.parametrize("depth", [2, 6, 90])
async def test_a_reorg_after_the_very_first_look_is_followed(
    writer: AsyncEngine, depth: int
) -> None:
    """What is below the first tip is in the record, too: there is something to go back to."""
    async with funded_project() as funded:
        funded.world.chain.mine_many(depth - 1)
        funded.mine_investment()
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == totals(2)
            assert not observed.of_kind(BlockSeen)
        funded.world.chain.reorg(depth, keep=False)
        async with following(fast_settings(funded.world), writer) as observed:
            await observed.wait_until_caught_up(funded.world)
            fork = funded.world.chain.height - depth - 1
            assert [rollback.to.height for rollback in observed.of_kind(RolledBack)] == [fork]
            assert await observed.totals(funded.project) == totals(1)
            assert await observed.is_consistent(funded.world)


async def test_a_tip_that_goes_back_for_a_moment_takes_nothing_back(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        settings = replace(fast_settings(funded.world), fork_wait_seconds=60)
        async with following(settings, writer, funded.project) as observed:
            for _ in range(3):
                funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            explorer.view.lag = 3
            await observed.wait_until(lambda: _state(observed.health(explorer)) == "degraded")
            assert await observed.totals(funded.project) == totals(4)
            explorer.view.lag = 0
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            await observed.wait_until(lambda: _state(observed.health(explorer)) == "ok")
            assert await observed.totals(funded.project) == totals(5)
            assert not observed.of_kind(RolledBack)


async def test_a_tip_that_stays_back_is_believed_in_the_end(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            explorer.view.lag = 1
            await observed.wait_until(lambda: bool(observed.of_kind(RolledBack)))
            assert await observed.totals(funded.project) == totals(1)
            explorer.view.lag = 0
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == totals(2)
            assert await observed.is_consistent(funded.world)


def _state(health: SourceHealth | None) -> str | None:
    return health.state if health else None

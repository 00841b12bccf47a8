"""Explorers that show another chain and not its blocks: nothing is taken back for headers alone."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.intercepting_transport import InterceptingTransport

from raised.domain.observation import BlockSeen, RolledBack, TipSeen
from raised_simnet.explorer.faults import BadBlock, Faults

RAW = ("block/:hash/raw",)
THREE = ProjectTotals(3 * 99_000, 0, 3)
LIES: dict[str, tuple[Callable[[], Faults], str]] = {
    "other blocks": (lambda: Faults(bad_block=BadBlock.OTHER), "wrong_block"),
    "blocks that do not hash": (lambda: Faults(bad_block=BadBlock.HEADER), "wrong_block"),
    "another witness": (lambda: Faults(bad_block=BadBlock.WITNESS), "wrong_block"),
    "no blocks any more": (lambda: Faults(status=404, only=RAW), "unsure"),
    "blocks refused": (lambda: Faults(status=403, only=RAW), "unsure"),
}


@pytest.mark.parametrize("what", LIES)
async def test_a_branch_without_its_blocks_takes_nothing_back(
    writer: AsyncEngine, what: str
) -> None:
    make, code = LIES[what]
    async with funded_project() as funded:
        explorer = funded.world.explorer
        settings = replace(fast_settings(funded.world), fork_wait_seconds=60)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            _mine_two(funded)
            await observed.wait_until_caught_up(funded.world)
            explorer.faults = make()
            funded.world.chain.reorg(2, [[funded.invest().tx]], keep=False)
            await observed.wait_for_error(explorer, code)
            assert not observed.of_kind(RolledBack)
            assert await observed.totals(funded.project) == THREE


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_one_bad_block_in_a_branch_is_enough(writer: AsyncEngine, bad: int) -> None:
    """Three blocks take the place of two: they are not more before the third is seen."""
    transport = InterceptingTransport()
    async with (
        funded_project() as funded,
        following(fast_settings(funded.world), writer, funded.project, transport) as observed,
    ):
        await observed.wait_until_caught_up(funded.world)
        _mine_two(funded)
        await observed.wait_until_caught_up(funded.world)
        read = len(observed.of_kind(BlockSeen))
        new = funded.world.chain.reorg(2, [[funded.invest().tx]], keep=False).new
        transport.instead = _no_block(new[bad - 1])
        await observed.wait_for_error(funded.world.explorer, "withheld")
        assert not observed.of_kind(RolledBack)
        assert len(observed.of_kind(BlockSeen)) == read
        transport.instead = lambda _: None
        await observed.wait_until_caught_up(funded.world)
        assert len(observed.of_kind(RolledBack)) == 1
        assert len(observed.of_kind(BlockSeen)) == read + 3
        assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)
        assert await observed.is_consistent(funded.world)


@pytest.mark.parametrize("without", range(2))
async def test_what_only_the_explorer_without_blocks_shows_takes_nothing_back(
    writer: AsyncEngine, without: int
) -> None:
    async with funded_project(explorers=2) as funded:
        lying, honest = funded.world.explorers[without], funded.world.explorers[1 - without]
        lying.faults = Faults(status=404, only=RAW)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            _mine_two(funded)
            await observed.wait_until_caught_up(funded.world)
            honest.view.pinned = funded.world.chain.tip_hash
            funded.world.chain.reorg(2, [[funded.invest().tx]], keep=False)
            await observed.wait_for_error(lying, "unsure")
            count = len(observed.observations)
            await observed.wait_until(lambda: len(observed.observations) > count + 30)
            assert not observed.of_kind(RolledBack)
            assert not [tip for tip in observed.of_kind(TipSeen) if tip.gap]
            assert await observed.totals(funded.project) == THREE
            honest.view.pinned = None
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)


async def test_an_only_explorer_without_blocks_is_believed_with_time(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        funded.world.explorer.faults = Faults(status=404, only=RAW)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            _mine_two(funded)
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == THREE
            funded.world.chain.reorg(2, [[funded.invest().tx]], keep=False)
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)
            assert len(observed.of_kind(RolledBack)) == 1
            assert await observed.is_consistent(funded.world)


def _mine_two(funded: FundedProject) -> None:
    funded.mine_investment()
    funded.mine_investment()


def _no_block(block_hash: str) -> Callable[[str], httpx.Response | None]:
    def instead(path: str) -> httpx.Response | None:
        if path.endswith(f"/block/{block_hash}/raw"):
            return httpx.Response(404, text="Block not found")
        return None

    return instead

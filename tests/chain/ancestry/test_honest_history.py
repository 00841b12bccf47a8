"""The old history of a project from honest explorers: found whole, and what it costs."""

import asyncio
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.followed_chain import (
    NETWORK,
    ProjectTotals,
    following,
    funded_project,
)
from tests.rig.rewritten_history import OLD_BLOCKS, short_chain_settings, state_of

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.ancestry.outcomes import NeedsLink
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.fork import read_end_of_chain
from raised.chain.history import read_history
from raised.domain.observation import HistorySeen

ONE = ProjectTotals(99_000, 0, 1)


async def test_a_single_explorer_shows_headers_down_to_an_old_project(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        explorer = funded.world.explorer
        async with following(short_chain_settings(funded), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            assert observed.of_kind(HistorySeen)[0].explorer == explorer.url
            pages = explorer.counts["blocks/:start"]
            assert OLD_BLOCKS // 10 - 2 <= pages <= OLD_BLOCKS // 10 + 8


async def test_where_headers_are_too_many_a_single_explorer_is_believed_and_the_log_says_so(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        settings = short_chain_settings(funded, links_affordable=False)
        with capture_logs() as logs:
            async with following(settings, writer, funded.project) as observed:
                await observed.wait_until_caught_up(funded.world)
                assert await observed.totals(funded.project) == ONE
        said = [
            log for log in logs if log["event"] == "old blocks are accepted from one explorer alone"
        ]
        assert said[0]["explorer"] == funded.world.explorer.url
        assert said[0]["blocks"] == 2


async def test_a_second_explorer_is_asked_once_for_each_old_block(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.mine_investment()
        funded.world.chain.mine_many(OLD_BLOCKS)
        settings = short_chain_settings(funded, links_affordable=False)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)
            (history,) = observed.of_kind(HistorySeen)
            other = next(
                explorer for explorer in funded.world.explorers if explorer.url != history.explorer
            )
            old = [path for path in other.recent_paths if path in _heights(history)]
            assert sorted(old) == sorted(_heights(history))


async def test_many_old_blocks_are_asked_for_one_by_one_between_new_blocks(
    writer: AsyncEngine,
) -> None:
    async with funded_project(explorers=2) as funded:
        for _ in range(11):
            funded.mine_investment()
        funded.world.chain.mine_many(OLD_BLOCKS)
        async with following(short_chain_settings(funded), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(12 * 99_000, 0, 12)
            (history,) = observed.of_kind(HistorySeen)
            other = next(
                explorer for explorer in funded.world.explorers if explorer.url != history.explorer
            )
            old = [path for path in other.recent_paths if path in _heights(history)]
            assert sorted(old) == sorted(_heights(history))
            assert len(old) == 13


async def test_what_the_record_holds_needs_no_headers_again(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        explorer = funded.world.explorer
        settings = replace(short_chain_settings(funded), catch_up_blocks=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
        funded.mine_investment()
        funded.world.chain.mine_many(20)
        explorer.forget()
        async with following(settings, writer) as observed:
            await observed.wait_until(lambda: bool(observed.of_kind(HistorySeen)))
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)
            assert explorer.counts["blocks/:start"] < OLD_BLOCKS // 10


async def test_while_the_others_are_away_an_old_project_waits_for_them(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        first, second = funded.world.explorers
        second.down()
        settings = short_chain_settings(funded, links_affordable=False)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_for_error(second, "unreachable")
            await observed.wait_until(lambda: first.counts["address/:address/txs/chain"] > 3)
            assert not observed.of_kind(HistorySeen)
            assert state_of(observed, first) == "ok"
            second.up()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE


async def test_headers_are_left_alone_once_another_explorer_can_be_asked() -> None:
    async with funded_project(explorers=2) as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        first, second = funded.world.explorers
        second.down()
        pool = ExplorerPool(short_chain_settings(funded).explorers, NETWORK)
        try:
            await pool.probe_all()
            explorer = pool.peers[0].explorer
            assert explorer is not None
            linker = AncestryLinker(pool.peers, NETWORK.name, pool.disputes)
            linker.set_chain(await read_end_of_chain(explorer, NETWORK.name))
            outcome = await read_history(explorer, funded.project.project_id, 0, linker)
            assert isinstance(outcome, NeedsLink)
            assert not await linker.step(explorer)
            second.up()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while pool.peers[1].explorer is None:
                    await pool.peers[1].poll_tip()
            first.forget()
            assert await linker.step(explorer)
            history = await read_history(explorer, funded.project.project_id, 0, linker)
        finally:
            await pool.close()
        assert isinstance(history, HistorySeen)
        assert len(history.txs) == 2
        assert first.counts["blocks/:start"] == 0
        assert {f"/block-height/{block.height}" for block, _ in history.txs} <= {
            *second.recent_paths
        }


def _heights(history: HistorySeen) -> set[str]:
    return {f"/block-height/{block.height}" for block, _ in history.txs}

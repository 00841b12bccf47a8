"""Several explorers that can or do different things: who is asked, and who keeps nobody waiting."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    UNLIMITED,
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.chain.settings import ChainSettings, Verify
from raised.domain.observation import BlockSeen, MempoolSeen, RolledBack, TipSeen
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer, Flavour
from raised_simnet.world import World

RAW = ("block/:hash/raw",)
LONG_SECONDS = 3600


def settings_with_late_answers(world: World) -> ChainSettings:
    """Who has not answered for this long is named; nothing ends the waiting but an answer."""
    settings = fast_settings(world)
    slow = (
        replace(explorer, connect_seconds=0.2, read_seconds=60) for explorer in settings.explorers
    )
    return replace(settings, explorers=tuple(slow))


@pytest.mark.parametrize("stalls", [0, 1])
async def test_a_stalled_explorer_keeps_nobody_waiting_and_comes_back(
    writer: AsyncEngine, stalls: int
) -> None:
    async with funded_project(explorers=2) as funded:
        stalled, other = funded.world.explorers[stalls], funded.world.explorers[1 - stalls]
        async with following(
            settings_with_late_answers(funded.world), writer, funded.project
        ) as observed:
            await observed.wait_until_caught_up(funded.world)
            stalled.faults = Faults(delay_seconds=LONG_SECONDS)
            for _ in range(3):
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(4 * 99_000, 0, 4)
            health = await observed.wait_for_error(stalled, "timeout")
            assert health.state == "down"
            assert _state(observed, other) == "ok"
            stalled.faults = Faults()
            stalled.down()  # ends what it has not answered
            stalled.up()
            await observed.wait_until(partial(_is_ok, observed, stalled))
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert not observed.of_kind(RolledBack)


async def test_an_explorer_that_stalls_from_the_first_request_keeps_nobody_waiting(
    writer: AsyncEngine,
) -> None:
    async with funded_project(explorers=2) as funded:
        first, second = funded.world.explorers
        first.faults = Faults(delay_seconds=LONG_SECONDS)
        async with following(
            settings_with_late_answers(funded.world), writer, funded.project
        ) as observed:
            await observed.wait_until_caught_up(funded.world)
            await observed.wait_for_error(first, "timeout")
            assert _state(observed, second) == "ok"


async def test_one_that_stalls_over_a_block_is_asked_after_the_others(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        first, second = funded.world.explorers
        settings = fast_settings(funded.world)
        slow_down = replace(UNLIMITED, base_seconds=60)
        slow = (
            replace(explorer, connect_seconds=0.2, rate_limit=slow_down)
            for explorer in settings.explorers
        )
        settings = replace(settings, explorers=tuple(slow))
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for explorer in (first, second):
                explorer.forget()
            first.faults = Faults(delay_seconds=LONG_SECONDS, only=RAW)
            for _ in range(5):
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
            raw_requests = first.counts["block/:hash/raw"]
            assert raw_requests <= 1
            if raw_requests:
                assert _state(observed, first) != "ok"
            assert second.counts["block/:hash/raw"] >= 4


@pytest.mark.parametrize("route", ["block-height/:height", "blocks", "blocks/:start"])
async def test_one_that_is_asked_for_its_opinion_and_stalls_is_done_without(
    writer: AsyncEngine, route: str
) -> None:
    async with funded_project(explorers=2) as funded:
        stalled, other = funded.world.explorers
        settings = replace(settings_with_late_answers(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            stalled.faults = Faults(delay_seconds=LONG_SECONDS, only=(route,))
            for _ in range(2):
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(3 * 99_000, 0, 3)
            assert _state(observed, other) == "ok"


@pytest.mark.parametrize("lacks", [0, 1])
async def test_blocks_are_read_where_there_are_any(writer: AsyncEngine, lacks: int) -> None:
    async with funded_project(explorers=2) as funded:
        without, other = funded.world.explorers[lacks], funded.world.explorers[1 - lacks]
        without.faults = Faults(status=404, only=RAW)
        settings = replace(fast_settings(funded.world), fork_wait_seconds=60)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for blocks in range(1, 6):
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
                assert len(observed.of_kind(BlockSeen)) == blocks
            assert not [tip for tip in observed.of_kind(TipSeen) if tip.gap]
            assert without.counts["block/:hash/raw"] <= 2  # this block, the one before: then never
            assert _state(observed, other) == "ok"
            assert await observed.totals(funded.project) == ProjectTotals(6 * 99_000, 0, 6)


async def test_without_the_others_the_one_without_blocks_is_followed(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        without, other = funded.world.explorers
        without.faults = Faults(status=404, only=RAW)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            other.down()
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert [tip.gap for tip in observed.of_kind(TipSeen)] == [False, True]
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)
            health = observed.health(without)
            assert health is not None
            assert health.state == "degraded"
            assert health.errors["no_raw_blocks"] == 1


async def test_a_block_that_is_shown_before_it_can_be_had_is_waited_for(
    writer: AsyncEngine,
) -> None:
    """Its parent can be had, so the explorer has blocks; it is not asked the address way."""
    async with funded_project() as funded:
        explorer = funded.world.explorer
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            explorer.faults = Faults(status=404, only=RAW, left=1)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert len(observed.of_kind(BlockSeen)) == 1
            health = await _until_ok(observed, explorer)
            assert "withheld" in health
            assert "no_raw_blocks" not in health


async def test_an_explorer_that_falls_behind_says_so_in_words(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        late = funded.world.explorers[1]
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            late.view.pinned = funded.world.chain.tip_hash
            funded.world.chain.mine_many(4)
            await observed.wait_until_caught_up(funded.world)
            health = await observed.wait_for_error(late, "behind")
            assert health.state == "degraded"
            assert health.last_error == (
                "behind",
                "is behind: newer blocks of our chain are missing",
            )
            late.view.pinned = None
            await observed.wait_until(partial(_is_ok, observed, late))


@pytest.mark.parametrize("verify", ["spv", "agree", "trust"])
async def test_whoever_asks_for_less_proof_gets_no_blocks(
    writer: AsyncEngine, verify: Verify
) -> None:
    async with funded_project(explorers=2) as funded:
        settings = replace(fast_settings(funded.world), verify=verify, fork_wait_seconds=60)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            funded.world.chain.reorg(1, [[funded.invest().tx], [funded.invest().tx]], keep=False)
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(3 * 99_000, 0, 3)
            assert len(observed.of_kind(RolledBack)) == 1
            assert not observed.of_kind(BlockSeen)
            assert all(
                not explorer.counts["block/:hash/raw"] for explorer in funded.world.explorers
            )
            assert await observed.is_consistent(funded.world)


async def test_two_flavours_are_followed_as_one(writer: AsyncEngine) -> None:
    async with funded_project(explorers=[Flavour.ESPLORA, Flavour.MEMPOOL]) as funded:
        settings = replace(fast_settings(funded.world), agreement=2, mempool_seconds=0.01)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            investment = funded.invest()
            funded.world.chain.accept(investment.tx)
            await observed.wait_until(
                lambda: any(investment.tx in view.txs for view in observed.of_kind(MempoolSeen))
            )
            funded.world.chain.mine()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)


def _state(observed: ObservationLog, explorer: Explorer) -> str | None:
    health = observed.health(explorer)
    return health.state if health else None


def _is_ok(observed: ObservationLog, explorer: Explorer) -> bool:
    return _state(observed, explorer) == "ok"


async def _until_ok(observed: ObservationLog, explorer: Explorer) -> dict[str, int]:
    await observed.wait_until(partial(_is_ok, observed, explorer))
    health = observed.health(explorer)
    assert health is not None
    return dict(health.errors)

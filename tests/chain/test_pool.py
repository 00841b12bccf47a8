"""Several explorers that can or do different things: who is asked, and who keeps nobody waiting."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import HURRY, Follower, Shown, following, hurried, staged

from raised.chain.settings import ChainSettings, Verify
from raised.domain.observation import BlockSeen, MempoolSeen, RolledBack, TipSeen
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer, Flavour
from raised_simnet.world import World

RAW = ("block/:hash/raw",)
LONG_SECONDS = 3600


def impatient(world: World) -> ChainSettings:
    """Who has not answered for this long is named; nothing ends the waiting but an answer."""
    settings = hurried(world)
    slow = (replace(one, connect_seconds=0.2, read_seconds=60) for one in settings.explorers)
    return replace(settings, explorers=tuple(slow))


@pytest.mark.parametrize("stalls", [0, 1])
async def test_a_stalled_explorer_keeps_nobody_waiting_and_comes_back(
    writer: AsyncEngine, stalls: int
) -> None:
    async with staged(explorers=2) as stage:
        stalled, other = stage.world.explorers[stalls], stage.world.explorers[1 - stalls]
        async with following(impatient(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stalled.faults = Faults(delay_seconds=LONG_SECONDS)
            for _ in range(3):
                stage.mine_investment()
                await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(4 * 99_000, 0, 4)
            health = await follower.named(stalled, "timeout")
            assert health.state == "down"
            assert _state(follower, other) == "ok"
            stalled.faults = Faults()
            stalled.down()  # ends what it has not answered
            stalled.up()
            await follower.until(partial(_is_ok, follower, stalled))
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert not follower.of(RolledBack)


async def test_an_explorer_that_stalls_from_the_first_request_keeps_nobody_waiting(
    writer: AsyncEngine,
) -> None:
    async with staged(explorers=2) as stage:
        first, second = stage.world.explorers
        first.faults = Faults(delay_seconds=LONG_SECONDS)
        async with following(impatient(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            await follower.named(first, "timeout")
            assert _state(follower, second) == "ok"


async def test_one_that_stalls_over_a_block_is_asked_after_the_others(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        first, second = stage.world.explorers
        settings = hurried(stage.world)
        slow_down = replace(HURRY, base_seconds=60)
        slow = (
            replace(one, connect_seconds=0.2, rate_limit=slow_down) for one in settings.explorers
        )
        settings = replace(settings, explorers=tuple(slow))
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            for one in (first, second):
                one.forget()
            first.faults = Faults(delay_seconds=LONG_SECONDS, only=RAW)
            for _ in range(5):
                stage.mine_investment()
                await follower.caught_up(stage.world)
            asked = first.counts["block/:hash/raw"]
            assert asked <= 1
            if asked:
                assert _state(follower, first) != "ok"
            assert second.counts["block/:hash/raw"] >= 4


@pytest.mark.parametrize("route", ["block-height/:height", "blocks", "blocks/:start"])
async def test_one_that_is_asked_for_its_opinion_and_stalls_is_done_without(
    writer: AsyncEngine, route: str
) -> None:
    async with staged(explorers=2) as stage:
        stalled, other = stage.world.explorers
        settings = replace(impatient(stage.world), agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stalled.faults = Faults(delay_seconds=LONG_SECONDS, only=(route,))
            for _ in range(2):
                stage.mine_investment()
                await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(3 * 99_000, 0, 3)
            assert _state(follower, other) == "ok"


@pytest.mark.parametrize("lacks", [0, 1])
async def test_blocks_are_read_where_there_are_any(writer: AsyncEngine, lacks: int) -> None:
    async with staged(explorers=2) as stage:
        without, other = stage.world.explorers[lacks], stage.world.explorers[1 - lacks]
        without.faults = Faults(status=404, only=RAW)
        settings = replace(hurried(stage.world), patience_seconds=60)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            for blocks in range(1, 6):
                stage.mine_investment()
                await follower.caught_up(stage.world)
                assert len(follower.of(BlockSeen)) == blocks
            assert not [one for one in follower.of(TipSeen) if one.gap]
            assert without.counts["block/:hash/raw"] <= 2  # this block, the one before: then never
            assert _state(follower, other) == "ok"
            assert await follower.shown(stage.venture) == Shown(6 * 99_000, 0, 6)


async def test_without_the_others_the_one_without_blocks_is_followed(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        without, other = stage.world.explorers
        without.faults = Faults(status=404, only=RAW)
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            other.down()
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert [one.gap for one in follower.of(TipSeen)] == [False, True]
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)
            health = follower.health(without)
            assert health is not None
            assert health.state == "degraded"
            assert health.errors["no_raw_blocks"] == 1


async def test_a_block_that_is_shown_before_it_can_be_had_is_waited_for(
    writer: AsyncEngine,
) -> None:
    """Its parent can be had, so the explorer has blocks; it is not asked the address way."""
    async with staged() as stage:
        explorer = stage.world.explorer
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            explorer.faults = Faults(status=404, only=RAW, left=1)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert len(follower.of(BlockSeen)) == 1
            health = await _until_ok(follower, explorer)
            assert "withheld" in health
            assert "no_raw_blocks" not in health


async def test_an_explorer_that_falls_behind_says_so_in_words(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        late = stage.world.explorers[1]
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            late.view.pinned = stage.world.chain.tip_hash
            stage.world.chain.mine_many(4)
            await follower.caught_up(stage.world)
            health = await follower.named(late, "behind")
            assert health.state == "degraded"
            assert health.last_error == (
                "behind",
                "is behind: newer blocks of our chain are missing",
            )
            late.view.pinned = None
            await follower.until(partial(_is_ok, follower, late))


@pytest.mark.parametrize("verify", ["spv", "agree", "trust"])
async def test_whoever_asks_for_less_proof_gets_no_blocks(
    writer: AsyncEngine, verify: Verify
) -> None:
    async with staged(explorers=2) as stage:
        settings = replace(hurried(stage.world), verify=verify, patience_seconds=60)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            stage.world.chain.reorg(1, [[stage.invest().tx], [stage.invest().tx]], keep=False)
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(3 * 99_000, 0, 3)
            assert len(follower.of(RolledBack)) == 1
            assert not follower.of(BlockSeen)
            assert all(not one.counts["block/:hash/raw"] for one in stage.world.explorers)
            assert await follower.is_sound(stage.world)


async def test_two_flavours_are_followed_as_one(writer: AsyncEngine) -> None:
    async with staged(explorers=[Flavour.ESPLORA, Flavour.MEMPOOL]) as stage:
        settings = replace(hurried(stage.world), agreement=2, mempool_seconds=0.01)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stake = stage.invest()
            stage.world.chain.accept(stake.tx)
            await follower.until(
                lambda: any(stake.tx in view.txs for view in follower.of(MempoolSeen))
            )
            stage.world.chain.mine()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)


def _state(follower: Follower, explorer: Explorer) -> str | None:
    health = follower.health(explorer)
    return health.state if health else None


def _is_ok(follower: Follower, explorer: Explorer) -> bool:
    return _state(follower, explorer) == "ok"


async def _until_ok(follower: Follower, explorer: Explorer) -> dict[str, int]:
    await follower.until(partial(_is_ok, follower, explorer))
    health = follower.health(explorer)
    assert health is not None
    return dict(health.errors)

"""Explorers that show another chain and not its blocks: nothing is taken back for headers alone."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Shown, Stage, following, hurried, staged
from tests.rig.intercepting_transport import Between

from raised.domain.observation import BlockSeen, RolledBack, TipSeen
from raised_simnet.explorer.faults import BadBlock, Faults

RAW = ("block/:hash/raw",)
THREE = Shown(3 * 99_000, 0, 3)
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
    async with staged() as stage:
        explorer = stage.world.explorer
        settings = replace(hurried(stage.world), patience_seconds=60)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            _mine_two(stage)
            await follower.caught_up(stage.world)
            explorer.faults = make()
            stage.world.chain.reorg(2, [[stage.invest().tx]], keep=False)
            await follower.named(explorer, code)
            assert not follower.of(RolledBack)
            assert await follower.shown(stage.venture) == THREE


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_one_bad_block_in_a_branch_is_enough(writer: AsyncEngine, bad: int) -> None:
    """Three blocks take the place of two: they are not more before the third is seen."""
    between = Between()
    async with (
        staged() as stage,
        following(hurried(stage.world), writer, stage.venture, between) as follower,
    ):
        await follower.caught_up(stage.world)
        _mine_two(stage)
        await follower.caught_up(stage.world)
        read = len(follower.of(BlockSeen))
        new = stage.world.chain.reorg(2, [[stage.invest().tx]], keep=False).new
        between.instead = _no_block(new[bad - 1])
        await follower.named(stage.world.explorer, "withheld")
        assert not follower.of(RolledBack)
        assert len(follower.of(BlockSeen)) == read
        between.instead = lambda _: None
        await follower.caught_up(stage.world)
        assert len(follower.of(RolledBack)) == 1
        assert len(follower.of(BlockSeen)) == read + 3
        assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)
        assert await follower.is_sound(stage.world)


@pytest.mark.parametrize("without", range(2))
async def test_what_only_the_explorer_without_blocks_shows_takes_nothing_back(
    writer: AsyncEngine, without: int
) -> None:
    async with staged(explorers=2) as stage:
        liar, honest = stage.world.explorers[without], stage.world.explorers[1 - without]
        liar.faults = Faults(status=404, only=RAW)
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            _mine_two(stage)
            await follower.caught_up(stage.world)
            honest.view.pinned = stage.world.chain.tip_hash
            stage.world.chain.reorg(2, [[stage.invest().tx]], keep=False)
            await follower.named(liar, "unsure")
            told = len(follower.seen)
            await follower.until(lambda: len(follower.seen) > told + 30)
            assert not follower.of(RolledBack)
            assert not [one for one in follower.of(TipSeen) if one.gap]
            assert await follower.shown(stage.venture) == THREE
            honest.view.pinned = None
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)


async def test_an_only_explorer_without_blocks_is_believed_with_time(writer: AsyncEngine) -> None:
    async with staged() as stage:
        stage.world.explorer.faults = Faults(status=404, only=RAW)
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            _mine_two(stage)
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == THREE
            stage.world.chain.reorg(2, [[stage.invest().tx]], keep=False)
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)
            assert len(follower.of(RolledBack)) == 1
            assert await follower.is_sound(stage.world)


def _mine_two(stage: Stage) -> None:
    stage.mine_investment()
    stage.mine_investment()


def _no_block(block_hash: str) -> Callable[[str], httpx.Response | None]:
    def instead(path: str) -> httpx.Response | None:
        if path.endswith(f"/block/{block_hash}/raw"):
            return httpx.Response(404, text="Block not found")
        return None

    return instead

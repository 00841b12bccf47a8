"""Explorers that must agree: a block counts when enough of those that can have it show it."""

from dataclasses import replace
from functools import partial

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Follower, Shown, following, hurried, staged
from tests.rig.intercepting_transport import Between

from raised.domain.observation import BlockSeen, RolledBack, TipSeen
from raised_simnet.explorer.server import Explorer

MAIN_GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


@pytest.mark.parametrize("late", [0, 1])
async def test_a_block_waits_for_the_one_that_is_a_block_behind(
    writer: AsyncEngine, late: int
) -> None:
    async with staged(explorers=2) as stage:
        behind, ahead = stage.world.explorers[late], stage.world.explorers[1 - late]
        settings = replace(hurried(stage.world), agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            for blocks in range(1, 4):
                behind.view.pinned = stage.world.chain.tip_hash
                stage.mine_investment()
                await follower.until(partial(_shows, follower, ahead, stage.world.chain.tip_hash))
                told = len(follower.seen)
                await follower.until(lambda: len(follower.seen) > told + 6)  # noqa: B023
                assert len(follower.of(BlockSeen)) == blocks - 1
                behind.view.pinned = None
                await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(4 * 99_000, 0, 4)
            assert not follower.of(RolledBack)


async def test_a_reorg_that_one_alone_shows_is_not_followed(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        keeps = stage.world.explorers[1]
        settings = replace(hurried(stage.world), agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            keeps.view.pinned = stage.world.chain.tip_hash
            stage.world.chain.reorg(1, keep=False)
            stage.world.chain.mine_many(1)
            for explorer in stage.world.explorers:
                await follower.until(partial(_disagrees, follower, explorer))
            assert not follower.of(RolledBack)
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)
            keeps.view.pinned = None
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(99_000, 0, 1)
            for explorer in stage.world.explorers:
                await follower.until(partial(_is_ok, follower, explorer))


async def test_who_is_away_has_no_opinion(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        away = stage.world.explorers[0]
        settings = replace(hurried(stage.world), agreement=2)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            away.down()
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(2 * 99_000, 0, 2)


async def test_an_explorer_of_another_network_is_named_and_never_asked(writer: AsyncEngine) -> None:
    between = Between()
    async with staged(explorers=2) as stage:
        foreign, ours = stage.world.explorers
        between.instead_of[foreign.url] = _main
        async with following(hurried(stage.world), writer, stage.venture, between) as follower:
            health = await follower.named(foreign, "wrong_network")
            assert health.state == "down"
            await follower.caught_up(stage.world)
            assert {one.explorer for one in follower.of(TipSeen)} == {ours.url}
            assert await follower.shown(stage.venture) == Shown(99_000, 0, 1)
            assert not foreign.counts


def _main(path: str) -> httpx.Response | None:
    if path.endswith("/block-height/0"):
        return httpx.Response(200, text=MAIN_GENESIS)
    return httpx.Response(404, text="Block not found")


def _shows(follower: Follower, explorer: Explorer, tip: str) -> bool:
    health = follower.health(explorer)
    return health is not None and health.facts["hash"] == tip


def _disagrees(follower: Follower, explorer: Explorer) -> bool:
    health = follower.health(explorer)
    return health is not None and bool(health.facts["disagrees_with"])


def _is_ok(follower: Follower, explorer: Explorer) -> bool:
    health = follower.health(explorer)
    return health is not None and health.state == "ok"

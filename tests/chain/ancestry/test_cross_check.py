"""Explorers that must agree: a block counts when enough of those that can have it show it."""

from dataclasses import replace
from functools import partial

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.intercepting_transport import InterceptingTransport

from raised.domain.observation import BlockSeen, RolledBack, TipSeen
from raised_simnet.explorer.server import Explorer

MAIN_GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


@pytest.mark.parametrize("late", [0, 1])
async def test_a_block_waits_for_the_one_that_is_a_block_behind(
    writer: AsyncEngine, late: int
) -> None:
    async with funded_project(explorers=2) as funded:
        behind, ahead = funded.world.explorers[late], funded.world.explorers[1 - late]
        settings = replace(fast_settings(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for blocks in range(1, 4):
                behind.view.pinned = funded.world.chain.tip_hash
                funded.mine_investment()
                await observed.wait_until(
                    partial(_shows, observed, ahead, funded.world.chain.tip_hash)
                )
                count = len(observed.observations)
                await observed.wait_until(lambda: len(observed.observations) > count + 6)  # noqa: B023
                assert len(observed.of_kind(BlockSeen)) == blocks - 1
                behind.view.pinned = None
                await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(4 * 99_000, 0, 4)
            assert not observed.of_kind(RolledBack)


async def test_a_reorg_that_one_alone_shows_is_not_followed(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        keeps = funded.world.explorers[1]
        settings = replace(fast_settings(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            keeps.view.pinned = funded.world.chain.tip_hash
            funded.world.chain.reorg(1, keep=False)
            funded.world.chain.mine_many(1)
            for explorer in funded.world.explorers:
                await observed.wait_until(partial(_disagrees, observed, explorer))
            assert not observed.of_kind(RolledBack)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)
            keeps.view.pinned = None
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(99_000, 0, 1)
            for explorer in funded.world.explorers:
                await observed.wait_until(partial(_is_ok, observed, explorer))


async def test_who_is_away_has_no_opinion(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        away = funded.world.explorers[0]
        settings = replace(fast_settings(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            away.down()
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)


async def test_an_explorer_of_another_network_is_named_and_never_asked(writer: AsyncEngine) -> None:
    transport = InterceptingTransport()
    async with funded_project(explorers=2) as funded:
        foreign, ours = funded.world.explorers
        transport.instead_of[foreign.url] = _main
        async with following(
            fast_settings(funded.world), writer, funded.project, transport
        ) as observed:
            health = await observed.wait_for_error(foreign, "wrong_network")
            assert health.state == "down"
            await observed.wait_until_caught_up(funded.world)
            assert {tip.explorer for tip in observed.of_kind(TipSeen)} == {ours.url}
            assert await observed.totals(funded.project) == ProjectTotals(99_000, 0, 1)
            assert not foreign.counts


def _main(path: str) -> httpx.Response | None:
    if path.endswith("/block-height/0"):
        return httpx.Response(200, text=MAIN_GENESIS)
    return httpx.Response(404, text="Block not found")


def _shows(observed: ObservationLog, explorer: Explorer, tip: str) -> bool:
    health = observed.health(explorer)
    return health is not None and health.facts["hash"] == tip


def _disagrees(observed: ObservationLog, explorer: Explorer) -> bool:
    health = observed.health(explorer)
    return health is not None and bool(health.facts["disagrees_with"])


def _is_ok(observed: ObservationLog, explorer: Explorer) -> bool:
    health = observed.health(explorer)
    return health is not None and health.state == "ok"

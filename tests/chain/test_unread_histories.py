"""Trouble with the history of one project: it is set aside by name, and nothing else notices."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.bech32 import address
from raised.domain.observation import BlockSeen, GroupProblems, HistorySeen, SourceProblem
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer

ONE = ProjectTotals(99_000, 0, 1)
HISTORY = ("address/:address/txs/chain", "address/:address/txs/chain/:last")
FAULTS: dict[str, Callable[[str], Faults]] = {
    "500": lambda about: Faults(status=500, about=about),
    "503": lambda about: Faults(status=503, about=about),
    "429": lambda about: Faults(status=429, about=about),
    "429 with a time": lambda about: Faults(status=429, retry_after=1, about=about),
    "403": lambda about: Faults(status=403, about=about),
    "404": lambda about: Faults(status=404, body="Not Found", about=about),
    "400": lambda about: Faults(status=400, body="Too many history entries", about=about),
    "a page for browsers": lambda about: Faults(html=True, about=about),
    "cut off": lambda about: Faults(cut=True, about=about),
    "elsewhere": lambda about: Faults(redirect="https://example.org", about=about),
    "slow": lambda about: Faults(delay_seconds=30, about=about, only=HISTORY),
}


def problems_of(observed: ObservationLog) -> dict[str, SourceProblem]:
    """What is wrong with the chain, by subject."""
    reports = observed.of_kind(GroupProblems)
    return {problem.subject: problem for problem in reports[-1].problems} if reports else {}


@pytest.mark.parametrize("explorers", [1, 2])
@pytest.mark.parametrize("what", FAULTS)
async def test_a_history_that_nobody_gives_stops_nothing_else_and_accuses_nobody(
    writer: AsyncEngine, what: str, explorers: int
) -> None:
    async with funded_project(explorers=explorers) as funded:
        project_id = funded.project.project_id
        about = address("bcrt", project_script(project_id))
        assert about is not None
        for explorer in funded.world.explorers:
            explorer.faults = FAULTS[what](about)
        settings = fast_settings(funded.world)
        quick = (replace(explorer, read_seconds=0.5) for explorer in settings.explorers)
        settings = replace(settings, explorers=tuple(quick), mempool_seconds=0.2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until(lambda: project_id in problems_of(observed))
            problem = problems_of(observed)[project_id]
            assert problem.code == "history_unread"
            assert all(explorer.url in problem.detail for explorer in funded.world.explorers)
            for _ in range(3):
                funded.mine_investment()
                await observed.wait_until(partial(_is_followed, observed, funded.world.explorer))
            assert len(observed.of_kind(BlockSeen)) == 3
            assert not observed.of_kind(HistorySeen)
            assert not [
                explorer
                for explorer in funded.world.explorers
                if (health := observed.health(explorer)) and health.state == "down"
            ]
            for explorer in funded.world.explorers:
                explorer.faults = Faults()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(4 * 99_000, 0, 4)
            await observed.wait_until(lambda: not problems_of(observed))
            for explorer in funded.world.explorers:
                await observed.wait_until(partial(_is_ok, observed, explorer))
            assert await observed.is_consistent(funded.world)


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("sick", [0, 1])
async def test_what_one_explorer_does_not_give_another_one_does(
    writer: AsyncEngine, what: str, sick: int
) -> None:
    async with funded_project(explorers=2) as funded:
        about = address("bcrt", project_script(funded.project.project_id))
        assert about is not None
        funded.world.explorers[sick].faults = FAULTS[what](about)
        settings = fast_settings(funded.world)
        quick = (replace(explorer, read_seconds=0.5) for explorer in settings.explorers)
        async with following(
            replace(settings, explorers=tuple(quick)), writer, funded.project
        ) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            assert not problems_of(observed)


@pytest.mark.parametrize("page_bytes", [3_000, 10_000, 200_000])
async def test_a_page_that_is_too_long_is_read_as_far_as_it_comes(
    writer: AsyncEngine, page_bytes: int
) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine([funded.invest().tx for _ in range(27)])
        settings = fast_settings(funded.world)
        short = (replace(explorer, page_bytes=page_bytes) for explorer in settings.explorers)
        settings = replace(settings, explorers=tuple(short))
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(28 * 99_000, 0, 28)
            assert not problems_of(observed)
            assert _is_ok(observed, funded.world.explorer)
            assert await observed.is_consistent(funded.world)


def _is_followed(observed: ObservationLog, explorer: Explorer) -> bool:
    return observed.tip is not None and observed.tip.hash == explorer.view.tip.hash


def _is_ok(observed: ObservationLog, explorer: Explorer) -> bool:
    health = observed.health(explorer)
    return health is not None and health.state == "ok"

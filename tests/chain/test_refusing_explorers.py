"""Explorers that refuse every question: down, whatever their words, and asked ever more rarely."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig import virtual_time
from tests.rig.direct_transport import DirectTransport
from tests.rig.followed_chain import (
    NETWORK,
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.memory_chain_record import MemoryChainRecord

from raised.chain.settings import ChainSettings, ExplorerSettings
from raised.chain.source import ChainSource
from raised.domain.observation import GroupProblems, Observation
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer
from raised_simnet.world import World

TIP = ("blocks/tip/hash",)
REFUSALS: dict[str, Callable[[], Faults]] = {
    "401": lambda: Faults(status=401),
    "402": lambda: Faults(status=402),
    "403": lambda: Faults(status=403),
    "404": lambda: Faults(status=404),
    "404 in JSON": lambda: Faults(status=404, body='{"error":"Not Found"}'),
    "405": lambda: Faults(status=405),
    "418": lambda: Faults(status=418, body="banned"),
    "451": lambda: Faults(status=451),
    "501": lambda: Faults(status=501),
    "302 to a gate": lambda: Faults(status=302, redirect="https://login.example"),
    "a page for browsers": lambda: Faults(html=True),
}
every_refusal = pytest.mark.parametrize("what", REFUSALS)


@every_refusal
async def test_the_only_explorer_that_refuses_everything_is_down_until_it_answers(
    writer: AsyncEngine, what: str
) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            explorer.faults = REFUSALS[what]()
            funded.mine_investment()
            await observed.wait_until(partial(_is_down, observed, explorer))
            health = observed.health(explorer)
            assert health is not None
            assert health.last_error is not None
            assert [problem.state for problem in health.problems] == ["down"]
            if "30" not in what and "page" not in what:
                assert "status" in health.problems[0].detail or "404" in what
            explorer.faults = Faults()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)
            await observed.wait_until(lambda: not _is_down(observed, explorer))


@every_refusal
async def test_with_two_that_must_agree_it_is_said_that_one_voice_is_left(
    writer: AsyncEngine, what: str
) -> None:
    async with funded_project(explorers=2) as funded:
        refusing = funded.world.explorers[0]
        settings = replace(fast_settings(funded.world), agreement=2)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            refusing.faults = REFUSALS[what]()
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            await observed.wait_until(lambda: "agreement" in _problems(observed))
            assert "only 1 of the 2 explorers" in _problems(observed)["agreement"]
            assert _is_down(observed, refusing)
            refusing.faults = Faults()
            await observed.wait_until(lambda: "agreement" not in _problems(observed))
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)


@pytest.mark.parametrize("route", ["blocks/tip/hash"])
@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_a_tip_is_found_where_only_its_own_route_is_missing(
    writer: AsyncEngine, route: str, status: int
) -> None:
    async with funded_project() as funded:
        funded.world.explorer.faults = Faults(status=status, only=(route,))
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(198_000, 0, 2)


@pytest.mark.parametrize("what", ["403", "404", "500", "429", "blocks"])
def test_in_ten_minutes_a_refusing_explorer_is_asked_a_few_dozen_times(what: str) -> None:
    faults = {
        **REFUSALS,
        "500": lambda: Faults(status=500),
        "429": lambda: Faults(status=429),
        # All but the tip: a proxy may answer that from its cache.
        "blocks": lambda: Faults(status=403, only=("blocks", "blocks/:start")),
    }
    # A tip is polled as always where it is given: on regtest five times a second.
    routes = ("blocks",) if what == "blocks" else ()
    assert virtual_time.run(_requests_in_ten_minutes(faults[what], routes)) <= 96


async def _requests_in_ten_minutes(fault: Callable[[], Faults], routes: Sequence[str]) -> int:
    """Requests of these routes, or of all, from when the fault begins."""
    async with World(relays=0) as world:
        record = MemoryChainRecord({"scriptpubkey": "0014" + "11" * 20})
        transport = DirectTransport(world.explorers)
        settings = ChainSettings((ExplorerSettings(world.explorer.url),))
        source = ChainSource(settings, NETWORK, record, transport)
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        following_it = asyncio.create_task(source.follow(outbox))
        await asyncio.sleep(60)
        world.explorer.faults = fault()
        world.chain.mine()
        world.explorer.forget()
        await asyncio.sleep(600)
        following_it.cancel()
        with suppress(asyncio.CancelledError):
            await following_it
        await source.close()
        counts = world.explorer.counts
        return sum(counts[route] for route in routes) if routes else counts.total()


def _problems(observed: ObservationLog) -> dict[str, str]:
    reports = observed.of_kind(GroupProblems)
    return {problem.code: problem.detail for problem in reports[-1].problems} if reports else {}


def _is_down(observed: ObservationLog, explorer: Explorer) -> bool:
    health = observed.health(explorer)
    return health is not None and health.state == "down"

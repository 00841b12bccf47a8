"""The chain changes between any two requests of ours: that is nobody's lie, and costs a moment.

Every number of a request of a cycle has its turn: just before it is answered, blocks are replaced.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.intercepting_transport import InterceptingTransport

from raised.chain.settings import ChainSettings, RateLimit

# Whoever was set apart for a lie, even once, would be silent for longer than the test waits.
UNFORGIVING: Final = RateLimit(per_second=1e6, burst=1_000_000, base_seconds=60, cap_seconds=600)
OF_A_RACE: Final = {"moved", "absent", "withheld", "unsure", "behind"}
CYCLES: Final = 3


def unforgiving(funded: FundedProject) -> ChainSettings:
    """The mempool is looked at in every cycle."""
    settings = fast_settings(funded.world)
    return replace(
        settings,
        explorers=tuple(
            replace(explorer, rate_limit=UNFORGIVING) for explorer in settings.explorers
        ),
        poll_seconds=0.005,
        health_seconds=0.05,
        mempool_seconds=1e-6,
        fork_wait_seconds=60,
    )


class RequestTrigger:
    """Something that happens just before the request of this number, from now on, is answered.

    `looks`: how often a tip was asked for between that and the raw block of the tip it left behind.
    """

    def __init__(
        self,
        funded: FundedProject,
        transport: InterceptingTransport,
        number: int,
        action: Callable[[], object],
    ):
        self.looks = 0
        self.triggered = False
        self._chain = funded.world.chain
        self._arrived = False
        self._at = transport.requests + number
        self._action = action
        transport.before = self._trigger
        transport.instead = self._count

    def _trigger(self, requests: int) -> None:
        if requests >= self._at and not self.triggered:
            self._action()
            self.triggered = True

    def _count(self, path: str) -> httpx.Response | None:
        self._arrived |= self.triggered and path.endswith(f"{self._chain.tip_hash}/raw")
        looks = self.triggered and not self._arrived and path.endswith("/blocks/tip/hash")
        self.looks += looks
        return None


def confirmed(funded: FundedProject) -> ProjectTotals:
    """What the best chain holds of the project."""
    confirmed_investments = [
        investment
        for investment in funded.investments
        if funded.world.chain.height_of(investment.tx.txid) is not None
    ]
    return ProjectTotals(99_000 * len(confirmed_investments), 0, len(confirmed_investments))


async def assert_nobody_is_blamed(
    funded: FundedProject, observed: ObservationLog, trigger: RequestTrigger
) -> None:
    """Wait until what happened is followed; nobody may have been blamed, nothing be wrong."""
    await observed.wait_until(lambda: trigger.triggered)
    await observed.wait_until_caught_up(funded.world)
    assert trigger.looks <= CYCLES * len(funded.world.explorers)
    await observed.wait_until(
        lambda: all(_is_ok(observed, explorer.url) for explorer in funded.world.explorers)
    )
    assert await observed.totals(funded.project) == confirmed(funded)


def _is_ok(observed: ObservationLog, url: str) -> bool:
    health = observed.latest(url)
    assert health is None or set(health.errors) <= OF_A_RACE, health
    return health is not None and health.state == "ok"


@pytest.mark.parametrize("depth", range(1, 7))
async def test_a_reorg_between_any_two_requests_is_no_lie(writer: AsyncEngine, depth: int) -> None:
    transport = InterceptingTransport()
    async with (
        funded_project(explorers=2, coins=100) as funded,
        following(unforgiving(funded), writer, funded.project, transport) as observed,
    ):
        funded.world.chain.mine_many(6)
        await observed.wait_until_caught_up(funded.world)
        for number in range(1 + depth % 2, 16, 2):  # each with depths of the other parity
            trigger = RequestTrigger(funded, transport, number, lambda: _replace(funded, depth))
            funded.mine_investment()
            await assert_nobody_is_blamed(funded, observed, trigger)
        assert await observed.is_consistent(funded.world)


def _replace(funded: FundedProject, depth: int) -> None:
    """The last blocks go; what the lowest of them held is a block higher now."""
    chain = funded.world.chain
    lowest = chain.block_at(chain.height - depth + 1)
    chain.reorg(depth, [[], lowest.txs[1:]], keep=depth % 2 == 0)

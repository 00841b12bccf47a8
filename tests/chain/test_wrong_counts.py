"""An explorer whose count of an address is wrong for ever: a statistic never hides money."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised_simnet.explorer.faults import Faults

PAGES = "address/:address/txs/chain"


@pytest.mark.parametrize("error", [1, 2, 1_000, -1])
@pytest.mark.parametrize("more", [0, 30], ids=["one page", "two pages"])
async def test_a_history_counts_though_the_count_is_wrong(
    writer: AsyncEngine, error: int, more: int
) -> None:
    async with funded_project() as funded:
        for _ in range(more):
            funded.mine_investment()
        funded.world.explorer.faults = Faults(count_error=error)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(
                99_000 * (1 + more), 0, 1 + more
            )
            health = observed.health(funded.world.explorer)
            assert health is not None
            assert (health.state, health.last_error) == ("ok", None)
            # Two readings to the end, and no more: the count cannot ask for another.
            assert funded.world.explorer.counts[PAGES] <= 2 * (more // 25 + 2)

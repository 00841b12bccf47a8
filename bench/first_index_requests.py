"""What reading a project's history for the first time asks of an explorer of the Esplora kind.

The reference is the formula: K/25 + K + 3 requests for K investments, two more for each transaction
that spends (itself, and its outputs' spends), one more for each reported transaction (its proof).
The number of stages is not in it: it must not matter.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from raised.chain.anchors import Anchors
from raised.chain.branch import end_of_chain
from raised.chain.dispute import Disputes
from raised.chain.index import read_history
from raised.chain.probe import probe
from raised.chain.settings import ExplorerSettings, Pace
from raised.chain.wire import Wire
from raised.domain.network import network_named
from raised.domain.observation import HistorySeen
from raised_simnet.venture import Venture
from raised_simnet.world import World

INVESTMENTS = 30
STAGES = (3, 6)
SPENDS = (0, 10)
UNHURRIED = Pace(per_second=1e6, burst=1_000_000)


@asynccontextmanager
async def invested(stages: int, spends: int) -> AsyncIterator[tuple[World, Venture]]:
    """A world with a project, its investments, and as many transactions that spend from them."""
    async with World(relays=0) as world:
        venture = Venture(stages=stages)
        wallet = world.wallet("actors", coins=INVESTMENTS + spends + 1, value=1_000_000)
        founding = venture.found(wallet)
        stakes = [venture.invest(wallet, str(number)) for number in range(INVESTMENTS)]
        world.chain.mine([founding, *(stake.tx for stake in stakes)])
        half = spends // 2
        left = [venture.claim(stake) for stake in stakes[:half]]
        left += [venture.recover(stake, wallet) for stake in stakes[: spends - half]]
        world.chain.mine(left)
        yield world, venture


async def read(world: World, venture: Venture) -> HistorySeen:
    """The history, from a world whose explorer has counted nothing else."""
    network = network_named("regtest")
    wire = Wire(ExplorerSettings(world.explorer.url, pace=UNHURRIED))
    explorer = await probe(wire, network)
    chain = await end_of_chain(explorer, network.name)
    anchors = Anchors((), network.name, Disputes())
    anchors.stand_on(chain)
    world.explorer.forget()
    try:
        return await read_history(explorer, venture.project_id, 0, anchors)
    finally:
        await wire.close()


async def measure(stages: int, spends: int) -> None:
    """One project's line."""
    async with invested(stages, spends) as (world, venture):
        history = await read(world, venture)
        requests = world.explorer.counts.total()
    counted = len(history.txs)
    assert counted == 1 + INVESTMENTS + spends, "the history is whole"
    formula = INVESTMENTS / 25 + INVESTMENTS + 3 + 2 * spends + counted
    print(
        json.dumps(
            {
                "name": f"first index, {INVESTMENTS} of {stages} stages, {spends} spends",
                "value": requests,
                "unit": "requests",
                "ratio": round(formula / requests, 3),
                "reference": f"the formula allows {formula:.1f}",
            }
        )
    )


async def main() -> None:
    """Every number of stages, with nothing spent and with something."""
    for stages in STAGES:
        for spends in SPENDS:
            await measure(stages, spends)


if __name__ == "__main__":
    asyncio.run(main())

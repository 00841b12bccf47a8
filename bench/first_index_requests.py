"""What reading a project's history for the first time asks of an explorer of the Esplora kind.

The reference is the formula: K/25 + K + 3 requests for K investments, two more for each transaction
that spends (itself, and its outputs' spends), one more for each reported transaction (its proof).
The number of stages is not in it: it must not matter.

When the project is older than what is followed its blocks have to be shown to be ours, which is
not in the formula. A single explorer shows the headers in between, ten a request, once for all
projects. Beside others it shows none, and each other is asked for every old block, unless headers
are fewer.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.rig.single_project import SingleProject

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.fork import read_end_of_chain
from raised.chain.history import read_history
from raised.chain.settings import ExplorerSettings, RateLimit
from raised.domain.angor.network import network_named
from raised.domain.observation import HistorySeen
from raised_simnet.world import World

INVESTMENTS = 30
STAGES = (3, 6)
SPENDS = (0, 10)
OLD_BLOCKS = 400
UNHURRIED = RateLimit(per_second=1e6, burst=1_000_000)


@asynccontextmanager
async def invested(stages: int, spends: int) -> AsyncIterator[tuple[World, SingleProject]]:
    """A world with a project, its investments, and as many transactions that spend from them."""
    async with World(relays=0) as world:
        project = SingleProject(stages=stages)
        wallet = world.wallet("actors", coins=INVESTMENTS + spends + 1, value=1_000_000)
        founding = project.found(wallet)
        investments = [project.invest(wallet, str(number)) for number in range(INVESTMENTS)]
        world.chain.mine([founding, *(investment.tx for investment in investments)])
        half = spends // 2
        left = [project.claim(investment) for investment in investments[:half]]
        left += [project.recover(investment, wallet) for investment in investments[: spends - half]]
        world.chain.mine(left)
        yield world, project


async def read(world: World, project: SingleProject) -> HistorySeen:
    """The history, from a world whose explorers have counted nothing else."""
    network = network_named("regtest")
    pool = ExplorerPool(
        [ExplorerSettings(explorer.url, rate_limit=UNHURRIED) for explorer in world.explorers],
        network,
    )
    try:
        await pool.probe_all()
        explorer = pool.peers[0].explorer
        assert explorer is not None, "it was met"
        linker = AncestryLinker(pool.peers, network.name, pool.disputes)
        linker.set_chain(await read_end_of_chain(explorer, network.name))
        for server in world.explorers:
            server.forget()
        history = await read_history(explorer, project.project_id, 0, linker)
        while not isinstance(history, HistorySeen):
            while not await linker.step(explorer):
                pass
            history = await read_history(explorer, project.project_id, 0, linker)
        return history
    finally:
        await pool.close()


async def measure(stages: int, spends: int) -> None:
    """One project's line."""
    async with invested(stages, spends) as (world, project):
        history = await read(world, project)
        requests = world.explorer.counts.total()
    counted = len(history.txs)
    assert counted == 1 + INVESTMENTS + spends, "the history is whole"
    formula = INVESTMENTS / 25 + INVESTMENTS + 3 + 2 * spends + counted
    tell(f"{spends} spends, {stages} stages", requests, formula, "the formula allows")


async def measure_old(explorers: int) -> None:
    """The lines of one project that was invested in long ago, one investment a block."""
    async with World(relays=0, explorers=explorers) as world:
        project, wallet = (
            SingleProject(),
            world.wallet("actors", coins=INVESTMENTS + 1, value=1_000_000),
        )
        world.chain.mine([project.found(wallet)])
        for number in range(INVESTMENTS):
            world.chain.mine([project.invest(wallet, str(number)).tx])
        world.chain.mine_many(OLD_BLOCKS)
        history = await read(world, project)
        first, *others = world.explorers
        counted = len(history.txs)
        assert counted == 1 + INVESTMENTS, "the history is whole"
        headers = first.counts["blocks/:start"]
        formula = INVESTMENTS / 25 + INVESTMENTS + 3 + counted
        name = f"{OLD_BLOCKS} blocks ago, {explorers} explorers"
        tell(name, first.counts.total() - headers, formula, "the formula allows")
        if headers:
            depth = OLD_BLOCKS + counted
            tell(f"{name}, headers, once", headers, depth / 10, "the depth over ten is")
        for other in others:
            tell(f"{name}, at the other", other.counts.total(), counted, "its old blocks are")


def tell(name: str, requests: int, allowed: float, reference: str) -> None:
    """One line."""
    print(
        json.dumps(
            {
                "name": f"first index, {INVESTMENTS} investments, {name}",
                "value": requests,
                "unit": "requests",
                "ratio": round(allowed / requests, 3),
                "reference": f"{reference} {allowed:.1f}",
            }
        )
    )


async def main() -> None:
    """Every number of stages, with nothing spent and with something; then a project of long ago."""
    for stages in STAGES:
        for spends in SPENDS:
            await measure(stages, spends)
    for explorers in (1, 2):
        await measure_old(explorers)


if __name__ == "__main__":
    asyncio.run(main())

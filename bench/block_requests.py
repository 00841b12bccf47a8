"""What a new block asks of an explorer, whatever is watched; an unchanged tip and mempool apart.

The source follows a simnet chain in which every block holds an investment in each project. Looks
at a tip that did not move are left out: they come with the time, not with the block. The reference
is the four requests that are allowed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection

from tests.rig.single_project import SingleProject

from raised.chain.ports import WatchedCoin
from raised.chain.settings import ChainSettings, ExplorerSettings, RateLimit
from raised.chain.source import ChainSource
from raised.domain.angor.network import network_named
from raised.domain.observation import BlockSeen, Observation, TipSeen
from raised_simnet.world import World

SIZES = ((1, 2), (10, 2), (10, 10))  # projects, and investments in each
ALLOWED = 4
UNHURRIED = RateLimit(per_second=1e6, burst=1_000_000)
TIP = "blocks/tip/hash"


class Nothing:
    """A record that knows projects, and has read all their histories."""

    def __init__(self, projects: list[SingleProject]) -> None:
        self._ids = tuple(project.project_id for project in projects)

    async def recent_blocks(self, count: int) -> tuple[()]:
        """None: it begins at the tip."""
        del count
        return ()

    async def hashes_at(self, heights: Collection[int]) -> dict[int, str]:
        """None."""
        del heights
        return {}

    async def watched_projects(self) -> tuple[str, ...]:
        """All."""
        return self._ids

    async def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        """None yet: the blocks will make them."""
        none: tuple[WatchedCoin, ...] = ()
        for coin in none:
            yield coin

    async def unindexed_projects(self) -> tuple[str, ...]:
        """None."""
        return ()

    async def unconfirmed(self) -> tuple[str, ...]:
        """None."""
        return ()

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        """None: mempool views are apart."""
        del limit
        return ()


async def seen(outbox: asyncio.Queue[Observation], kind: type[Observation]) -> Observation:
    """The next observation of a kind."""
    while True:
        observation = await outbox.get()
        outbox.task_done()
        if isinstance(observation, kind):
            return observation


async def measure(project_count: int, investment_count: int) -> None:
    """One size's line."""
    async with World(relays=0) as world:
        projects = [SingleProject(f"project {number}") for number in range(project_count)]
        wallet = world.wallet(
            "actors", coins=project_count * (investment_count + 1), value=1_000_000
        )
        world.chain.mine([project.found(wallet) for project in projects])
        settings = ChainSettings(
            (ExplorerSettings(world.explorer.url, rate_limit=UNHURRIED),),
            poll_seconds=0.1,
            mempool_seconds=1e6,
        )
        source = ChainSource(settings, network_named("regtest"), Nothing(projects))
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        following = asyncio.create_task(source.follow(outbox))
        await seen(outbox, TipSeen)
        await asyncio.sleep(0.5)  # the first look at the mempool is over
        world.explorer.forget()
        for number in range(investment_count):
            investments = [project.invest(wallet, str(number)) for project in projects]
            world.chain.mine([investment.tx for investment in investments])
            block = await seen(outbox, BlockSeen)
            assert isinstance(block, BlockSeen)
            assert len(block.txs) == project_count, "every investment is seen"
        counts = world.explorer.counts.copy()
        following.cancel()
        await asyncio.wait([following])
        await source.close()
    requests = (counts.total() - counts[TIP]) / investment_count + 1
    assert counts[TIP], "the route of the tip is counted under this name"
    say(project_count, investment_count, requests)


def say(projects: int, investments: int, requests: float) -> None:
    """One line: the higher the ratio the better."""
    line = {
        "name": f"new block, {projects} projects with {investments} investments each",
        "value": round(requests, 2),
        "unit": "requests",
        "ratio": round(ALLOWED / requests, 3),
        "reference": f"{ALLOWED} are allowed",
    }
    print(json.dumps(line))


async def main() -> None:
    """Every size."""
    for projects, investments in SIZES:
        await measure(projects, investments)


if __name__ == "__main__":
    asyncio.run(main())

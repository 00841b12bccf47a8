"""A queue to the record that others fill: the chain waits for nobody's items, nor tells twice."""

import asyncio

from tests.rig.followed_chain import NETWORK, hurried, staged
from tests.rig.memory_chain_record import Notebook

from raised.chain.source import Explorers
from raised.domain.angor.identifier import project_script
from raised.domain.observation import BlockSeen, ClockTicked, HistorySeen, Observation, RolledBack


class Slow(Notebook):
    """It has not written down a history yet."""

    async def unindexed_projects(self) -> tuple[str, ...]:
        return () if self.indexed and self.writes else (self.project_id,)

    writes = False


async def test_blocks_follow_a_history_that_is_on_its_way_and_is_told_once() -> None:
    async with staged() as stage:
        notebook = Slow({"scriptpubkey": project_script(stage.venture.project_id).hex()})
        source = Explorers(hurried(stage.world), NETWORK, notebook)
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        outbox.put_nowait(ClockTicked(0))  # somebody's item that is never done

        async def take() -> None:
            while True:
                notebook.take(await outbox.get())
                source.wake()

        tasks = [asyncio.create_task(source.follow(outbox)), asyncio.create_task(take())]
        try:
            for blocks in range(1, 4):
                stage.mine_investment()
                tip = stage.world.chain.tip_hash
                await notebook.until(
                    lambda: bool(notebook.chain) and notebook.chain[-1].hash == tip  # noqa: B023
                )
                await notebook.until(lambda: notebook.indexed)
                assert len(notebook.kinds(BlockSeen)) in (blocks - 1, blocks)
            assert len(notebook.kinds(HistorySeen)) == 1
            stage.world.chain.reorg(4, keep=False)  # the tip that the history went up to is gone
            await notebook.until(lambda: len(notebook.kinds(HistorySeen)) == 2)
            assert len(notebook.kinds(RolledBack)) == 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await source.close()

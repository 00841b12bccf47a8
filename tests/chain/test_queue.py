"""A queue to the record that others fill: the chain waits for nobody's items, nor tells twice."""

import asyncio

from tests.rig.followed_chain import NETWORK, fast_settings, funded_project
from tests.rig.memory_chain_record import MemoryChainRecord

from raised.chain.source import ChainSource
from raised.domain.angor.identifier import project_script
from raised.domain.observation import BlockSeen, ClockTicked, HistorySeen, Observation, RolledBack


class UnwrittenHistory(MemoryChainRecord):
    """It has not written down a history yet."""

    async def unindexed_projects(self) -> tuple[str, ...]:
        return () if self.indexed and self.writes else (self.project_id,)

    writes = False


async def test_blocks_follow_a_history_that_is_on_its_way_and_is_told_once() -> None:
    async with funded_project() as funded:
        chain_record = UnwrittenHistory(
            {"scriptpubkey": project_script(funded.project.project_id).hex()}
        )
        source = ChainSource(fast_settings(funded.world), NETWORK, chain_record)
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        outbox.put_nowait(ClockTicked(0))  # somebody's item that is never done

        async def apply() -> None:
            while True:
                chain_record.apply(await outbox.get())
                source.wake()

        tasks = [asyncio.create_task(source.follow(outbox)), asyncio.create_task(apply())]
        try:
            for blocks in range(1, 4):
                funded.mine_investment()
                tip = funded.world.chain.tip_hash
                await chain_record.wait_until(
                    lambda: bool(chain_record.chain) and chain_record.chain[-1].hash == tip  # noqa: B023
                )
                await chain_record.wait_until(lambda: chain_record.indexed)
                assert len(chain_record.of_kinds(BlockSeen)) in (blocks - 1, blocks)
            assert len(chain_record.of_kinds(HistorySeen)) == 1
            funded.world.chain.reorg(4, keep=False)  # the tip that the history went up to is gone
            await chain_record.wait_until(lambda: len(chain_record.of_kinds(HistorySeen)) == 2)
            assert len(chain_record.of_kinds(RolledBack)) == 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await source.close()

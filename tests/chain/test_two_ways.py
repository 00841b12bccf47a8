"""What is learnt block by block and what by addresses is the same."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.chain.test_races_at_the_start import following_in_memory
from tests.rig.followed_chain import (
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.memory_chain_record import MemoryChainRecord

from raised.domain.angor.identifier import project_script
from raised.domain.observation import BlockRef, BlockSeen, HistorySeen, PlacedTx

TxRows = dict[str, tuple[int, str, bytes, int, tuple[str, ...] | None]]
INVESTMENTS = 60


async def test_sixty_investments_are_the_same_both_ways(writer: AsyncEngine) -> None:
    """Founding and first investment are below what was followed; claims and recoveries are above.

    Every block holds several, and some are spent in the block that holds them.
    """
    async with funded_project(coins=INVESTMENTS + 30) as funded:
        chain = funded.world.chain
        claimed = 0
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            start = chain.height
            while len(funded.investments) < INVESTMENTS:
                three = [funded.invest() for _ in range(3)]
                claim = funded.project.claim(three[0])
                claimed += three[0].coins[0].stage.value
                chain.mine([*(investment.tx for investment in three), claim])
                chain.mine([funded.project.recover(three[1], funded.wallet)])
            await observed.wait_until_caught_up(funded.world)
            count = len(funded.investments)
            assert await observed.totals(funded.project) == ProjectTotals(
                99_000 * count, claimed, count
            )
            assert await observed.is_consistent(funded.world)
        by_blocks = _tx_rows(_in_blocks(observed))
        chain_record = MemoryChainRecord(
            {"scriptpubkey": project_script(funded.project.project_id).hex()}
        )
        async with following_in_memory(funded, chain_record):
            await chain_record.wait_until(lambda: chain_record.indexed)
    (history,) = (
        observation
        for observation in chain_record.observations
        if isinstance(observation, HistorySeen)
    )
    by_addresses = _tx_rows(pair for pair in history.txs if pair[0].height > start)
    assert by_blocks == by_addresses
    assert len(by_blocks) == count - 1 + 2 * (count - 1) // 3


def _in_blocks(observed: ObservationLog) -> Iterable[tuple[BlockRef, PlacedTx]]:
    return ((seen.block, placed) for seen in observed.of_kind(BlockSeen) for placed in seen.txs)


def _tx_rows(pairs: Iterable[tuple[BlockRef, PlacedTx]]) -> TxRows:
    return {
        placed.tx.txid: (
            ref.height,
            ref.hash,
            placed.tx.serialize(),
            placed.position,
            placed.siblings,
        )
        for ref, placed in pairs
    }

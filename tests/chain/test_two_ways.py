"""What is learnt block by block and what by addresses is the same."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.chain.test_races_at_the_start import looking
from tests.rig.followed_chain import Follower, Shown, following, hurried, staged
from tests.rig.memory_chain_record import Notebook

from raised.domain.angor.identifier import project_script
from raised.domain.observation import BlockRef, BlockSeen, HistorySeen, PlacedTx

Told = dict[str, tuple[int, str, bytes, int, tuple[str, ...] | None]]
INVESTMENTS = 60


async def test_sixty_investments_are_the_same_both_ways(writer: AsyncEngine) -> None:
    """Founding and first investment are below what was followed; claims and recoveries are above.

    Every block holds several, and some are spent in the block that holds them.
    """
    async with staged(coins=INVESTMENTS + 30) as stage:
        chain = stage.world.chain
        claimed = 0
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            start = chain.height
            while len(stage.stakes) < INVESTMENTS:
                three = [stage.invest() for _ in range(3)]
                claim = stage.venture.claim(three[0])
                claimed += three[0].coins[0].stage.value
                chain.mine([*(one.tx for one in three), claim])
                chain.mine([stage.venture.recover(three[1], stage.wallet)])
            await follower.caught_up(stage.world)
            count = len(stage.stakes)
            assert await follower.shown(stage.venture) == Shown(99_000 * count, claimed, count)
            assert await follower.is_sound(stage.world)
        by_blocks = _told(_in_blocks(follower))
        notebook = Notebook({"scriptpubkey": project_script(stage.venture.project_id).hex()})
        async with looking(stage, notebook):
            await notebook.until(lambda: notebook.indexed)
    (history,) = (one for one in notebook.told if isinstance(one, HistorySeen))
    by_addresses = _told(pair for pair in history.txs if pair[0].height > start)
    assert by_blocks == by_addresses
    assert len(by_blocks) == count - 1 + 2 * (count - 1) // 3


def _in_blocks(follower: Follower) -> Iterable[tuple[BlockRef, PlacedTx]]:
    return ((seen.block, one) for seen in follower.of(BlockSeen) for one in seen.txs)


def _told(pairs: Iterable[tuple[BlockRef, PlacedTx]]) -> Told:
    return {
        one.tx.txid: (ref.height, ref.hash, one.tx.serialize(), one.position, one.siblings)
        for ref, one in pairs
    }

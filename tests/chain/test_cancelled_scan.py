"""A turn that is cancelled while a block is scanned: the scan goes on, and must change nothing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.followed_chain import (
    NETWORK,
    FundedProject,
    fast_settings,
    funded_project,
)
from tests.rig.single_project import SingleProject

from raised.chain.best_chain import BestChain
from raised.chain.block_scan import WatchSet
from raised.chain.explorer_pool import ExplorerPool
from raised.domain.angor.founding import Founding, founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import Tx
from raised.domain.observation import BlockSeen, Observation


class HeldScan:
    """Tests transactions for a founding as usual, but not before `go_on` is set."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self._test = partial(founding_of, network=NETWORK)

    def __call__(self, tx: Tx) -> Founding | None:
        self.started.set()
        assert self.go_on.wait(DEADLINE_SECONDS)
        return self._test(tx)


async def test_a_scan_that_outlives_its_turn_leaves_the_watch_set_as_it_is() -> None:
    async with funded_project() as funded:
        scan, watched = HeldScan(), WatchSet(project_script)
        loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor()
        loop.set_default_executor(threads)
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        pool = ExplorerPool(fast_settings(funded.world).explorers, NETWORK)
        best_chain = BestChain(fast_settings(funded.world), NETWORK, pool, watched, scan)
        try:
            other = await _follow_to_a_founding(funded, pool, best_chain, outbox)
            turn = asyncio.create_task(best_chain.advance(pool.peers[0], outbox))
            assert await asyncio.to_thread(scan.started.wait, DEADLINE_SECONDS)
            turn.cancel()
            await asyncio.wait({turn})
            scan.go_on.set()
            threads.shutdown(wait=True)
            loop.set_default_executor(ThreadPoolExecutor())
            assert turn.cancelled()
            assert other.project_id not in watched
        finally:
            scan.go_on.set()
            await pool.close()


async def test_the_next_turn_scans_the_block_again_and_adds_what_it_founds() -> None:
    async with funded_project() as funded:
        scan, watched = HeldScan(), WatchSet(project_script)
        scan.go_on.set()
        outbox: asyncio.Queue[Observation] = asyncio.Queue()
        pool = ExplorerPool(fast_settings(funded.world).explorers, NETWORK)
        best_chain = BestChain(fast_settings(funded.world), NETWORK, pool, watched, scan)
        try:
            other = await _follow_to_a_founding(funded, pool, best_chain, outbox)
            turn = asyncio.create_task(best_chain.advance(pool.peers[0], outbox))
            await asyncio.sleep(0)
            turn.cancel()
            await asyncio.wait({turn})
            assert await best_chain.advance(pool.peers[0], outbox)
            assert other.project_id in watched
        finally:
            await pool.close()
    *_, block = (outbox.get_nowait() for _ in range(outbox.qsize()))
    assert isinstance(block, BlockSeen)
    assert len(block.txs) == 1


async def _follow_to_a_founding(
    funded: FundedProject,
    pool: ExplorerPool,
    best_chain: BestChain,
    outbox: asyncio.Queue[Observation],
) -> SingleProject:
    """Follow the chain to its tip; then another project is founded in the next block."""
    await pool.probe_all()
    assert await best_chain.advance(pool.peers[0], outbox)
    other = SingleProject("founded while the turn is cancelled")
    funded.world.chain.mine([other.found(funded.wallet)])
    await pool.probe_all()
    return other

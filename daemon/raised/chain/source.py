"""The chain source: asks explorers, reports blocks, histories and the mempool to the record."""

import asyncio
import contextlib
from functools import partial
from typing import Final, Never

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.backlog import HistoryBacklog
from raised.chain.best_chain import BestChain
from raised.chain.block_scan import WatchSet
from raised.chain.deep_forks import DeepFork
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.health_reports import HealthReports
from raised.chain.mempool_watch import MempoolWatch
from raised.chain.ports import ChainRecord
from raised.chain.settings import ChainSettings
from raised.chain.unread_histories import UnreadHistories
from raised.clock import now
from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.angor.network import Network
from raised.domain.observation import Observation, Progress
from raised.errors import SourceError
from raised.net.http_client import Transport

# How often a turn is checked for an explorer that does not answer. Short beside its timeouts.
_CHECK_SECONDS: Final = 0.25
_BLOCKS: Final = "blocks"  # the name of the way to the first tip in the status


class ChainSource:
    """The chain source. `follow` runs it; `wake` may be called at any time."""

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        record: ChainRecord,
        transport: Transport | None = None,
    ) -> None:
        founding_test = partial(founding_of, network=network)
        self._settings = settings
        self._network = network.name
        self._record = record
        self._pool = ExplorerPool(settings.explorers, network, transport)
        self._watched = WatchSet(project_script)
        self._best_chain = BestChain(settings, network, self._pool, self._watched, founding_test)
        linker = AncestryLinker(
            self._pool.peers, network.name, self._pool.disputes, record.hashes_at
        )
        self._health = HealthReports(self._pool, settings)
        pause = settings.history_pause(network.name)
        self._backlog = HistoryBacklog(
            record,
            self._best_chain,
            linker,
            self._watched,
            founding_test,
            UnreadHistories(self._health.problems, pause),
        )
        self._mempool = MempoolWatch(
            record,
            self._watched,
            founding_test,
            self._health.problems,
            settings.mempool(network.name),
        )
        self._reached_tip = False
        self._record_changed = asyncio.Event()

    def wake(self) -> None:
        """Look at the record again: there may be a project whose history was never read."""
        self._record_changed.set()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        """Observe the chain, until cancelled."""
        await self._load()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._record_changed.clear()
                await self._pool.poll_tips(tasks)
                for peer in self._pool.by_preference(self._best_chain.chain):
                    if await self._watch_turn(tasks.create_task(self._turn(peer, outbox)), peer):
                        break
                self._best_chain.mark_deep_forks()
                if self._best_chain.chain is not None:
                    await self._pool.compare_chains(self._best_chain.chain)
                await self._health.report(outbox)
                await self._wait_for_next_poll()
        raise AssertionError("only an error ends it")

    async def _load(self) -> None:
        for project_id in await self._record.watched_projects():
            self._watched.add_project(project_id)
        async for coin in self._record.watched_coins():
            self._watched.add_coin(coin.outpoint, coin.kind)
        await self._best_chain.load(self._record)

    async def _watch_turn(self, turn: asyncio.Task[bool], peer: ExplorerPeer) -> bool:
        """The result of a turn; False when it is cancelled because an explorer does not answer.

        The last peer that can be asked has all its time.
        """
        while not turn.done():
            await asyncio.wait({turn}, timeout=_CHECK_SECONDS)
            unresponsive = None if turn.done() else self._pool.unresponsive(peer)
            if unresponsive is not None:
                # A turn changes its state and the outbox without an await in between, and a scan
                # in a thread changes nothing: so a turn may be cancelled anywhere.
                turn.cancel()
                await asyncio.wait({turn})
                # A slow answer about one project says nothing about the explorer.
                if not self._backlog.on_slow(unresponsive):
                    unresponsive.mark_unresponsive()
                return False
        return turn.result()

    async def _turn(self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]) -> bool:
        """Report all that this peer can give now; False when another one shall be asked.

        Either it failed, or its chain is not the one we follow.
        """
        try:
            followed = await self._best_chain.advance(peer, outbox)
            if self._shows_our_tip(peer):
                await self._report_first_tip(outbox)
                peers = self._pool.at_our_tip(peer)
                error = await self._backlog.read_some(peers, outbox)
                tip_hash = self._best_chain.tip.hash
                error = error or await self._mempool.look(peers, tip_hash, outbox)
                if error is not None:
                    raise error
        except SourceError as error:
            await peer.on_turn_error(error)
            return False
        except DeepFork as error:
            self._health.problems.begin_problem("deep_fork", str(error), "down")
            await self._health.report_last(outbox)
            raise
        peer.reset()
        return followed

    def _shows_our_tip(self, peer: ExplorerPeer) -> bool:
        chain = self._best_chain.chain
        return chain is not None and peer.tip_hash == chain.tip.hash

    async def _report_first_tip(self, outbox: asyncio.Queue[Observation]) -> None:
        """Once: every block up to an explorer's tip was reported before."""
        if not self._reached_tip:
            self._reached_tip = True
            height = self._best_chain.tip.height
            await outbox.put(Progress(_BLOCKS, height, height, now()))

    async def _wait_for_next_poll(self) -> None:
        """Until the tip is polled again, or sooner when there is a history to read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.poll(self._network)):
                while True:
                    await self._record_changed.wait()
                    self._record_changed.clear()
                    if await self._backlog.has_untried():
                        return

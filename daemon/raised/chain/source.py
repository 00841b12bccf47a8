"""The chain source: explorers in; blocks, histories and what waits out; for ever."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Final, Never

import httpx

from raised.chain.ancestry.linker import ALONE, LINKING, AncestryLinker
from raised.chain.best_chain import BestChain
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.history import read_history
from raised.chain.mempool import Mempool
from raised.chain.pool import ExplorerPool
from raised.chain.ports import ChainRecord
from raised.chain.scan import Watched, concern
from raised.chain.settings import ChainSettings
from raised.clock import now
from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.angor.network import Network
from raised.domain.observation import Observation, Progress, SourceHealth
from raised.errors import SourceError

_ACTIVE_PROJECTS: Final = 50
_INDEX: Final = "index"
_TRIES: Final = 3  # of every history that is left, before the first pass counts as done
_TOLD_SECONDS: Final = 60.0  # so long a history that was told may be on its way
_SLICE_SECONDS: Final = 20.0  # so long blocks may wait for histories
_WATCH_SECONDS: Final = 0.25
_VIEW_REQUESTS: Final = 3  # of a view that shows nothing new
_VIEW_SECONDS: Final = 30.0  # an unchanged view says how old it is


@dataclass(frozen=True, slots=True)
class _Told:
    """When a history was told, up to which tip, and how many gaps there were before."""

    tip_hash: str
    gaps: int
    at: float


class ChainSource:
    """The chain source. `follow` runs it; `wake` may be called at any time."""

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        record: ChainRecord,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        test = partial(founding_of, network=network)
        self._settings = settings
        self._network = network.name
        self._record = record
        self._pool = ExplorerPool(settings.explorers, network, transport)
        self._watched = Watched(project_script)
        self._founding_of = test
        self._blocks = BestChain(settings, network, self._pool, self._watched, test)
        self._linker = AncestryLinker(
            self._pool.peers, network.name, self._pool.disputes, record.hashes_at
        )
        self._owed: set[str] = set()  # projects whose old blocks have to be linked first
        self._mempool = Mempool(self._watched, test)
        self._mempool_at = self._viewed_at = -1e9
        self._news = asyncio.Event()
        self._reported: dict[str, tuple[float, SourceHealth]] = {}
        self._indexed = False
        self._index_total = 0
        self._told: dict[str, _Told] = {}
        self._unreadable: Counter[str] = Counter()  # how often a history made trouble

    def wake(self) -> None:
        """Look at the record again: there may be a project whose history was never read."""
        self._news.set()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        """Observe the chain, for ever."""
        await self._load()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                await self._pool.poll_tips(tasks)
                for peer in self._pool.by_preference(self._blocks.chain):
                    if await self._watch(tasks.create_task(self._turn(peer, outbox)), peer):
                        break
                if self._blocks.chain is not None:
                    await self._pool.compare_chains(self._blocks.chain)
                await self._report(outbox)
                await self._rest()
        raise AssertionError("only an error ends it")

    async def _load(self) -> None:
        for project_id in await self._record.watched_projects():
            self._watched.add_project(project_id)
        async for coin in self._record.watched_coins():
            self._watched.add_coin(coin.outpoint, coin.kind)
        await self._blocks.load(self._record)

    async def _watch(self, turn: asyncio.Task[bool], peer: ExplorerPeer) -> bool:
        """The result of a turn; False when it is ended because somebody does not answer.

        The last one that can be asked has all its time.
        """
        while not turn.done():
            await asyncio.wait({turn}, timeout=_WATCH_SECONDS)
            silent = None if turn.done() else self._pool.unresponsive(peer)
            if silent is not None:
                # What a turn observed and what it remembers of that change in one step.
                turn.cancel()
                await asyncio.wait({turn})
                silent.mark_unresponsive()
                return False
        return turn.result()

    async def _turn(self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]) -> bool:
        """All that this host can tell now; False when another one shall be asked.

        Either it failed, or its chain is not the one we follow.
        """
        try:
            followed = await self._blocks.advance(peer, outbox)
            if self._blocks.chain is not None and peer.tip_hash == self._blocks.chain.tip.hash:
                # New blocks must not wait for histories, so one of these at a time.
                trouble = await self._index(peer, outbox)
                await self._look_at_mempool(peer, outbox)
                if trouble is not None:
                    raise trouble
        except SourceError as error:
            await peer.on_error(error)
            return False
        peer.reset()
        return followed

    async def _index(
        self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Read histories that were never read, for a while, or until one makes trouble.

        That one comes last from then on: anybody can make a history that no explorer likes, and
        the others must not wait for it.
        """
        assert peer.explorer is not None, "only hosts that were met are ranked"
        found = await self._unindexed()
        waiting = sorted(found, key=lambda one: (one in self._owed, self._unreadable[one]))
        self._index_total = max(self._index_total, len(waiting))
        time = asyncio.get_running_loop().time
        until = time() + _SLICE_SECONDS
        trouble: SourceError | None = None
        while waiting and trouble is None and time() < until:
            if waiting[0] in self._owed and not await self._linker.link(peer.explorer):
                continue
            await self._tell_progress(outbox, len(waiting))
            trouble = await self._read_history(peer.explorer, waiting[0], outbox)
            if trouble is None:
                self._owed.discard(waiting.pop(0))
            elif trouble.code == LINKING:
                trouble = None
                self._owed.add(waiting[0])
                waiting.append(waiting.pop(0))
        if all(self._unreadable[one] > _TRIES for one in waiting):
            await self._tell_progress(outbox, 0)
        # That others are away is no trouble of this one.
        return None if trouble is not None and trouble.code == ALONE else trouble

    async def _read_history(
        self, explorer: Explorer, project_id: str, outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        self._watched.add_project(project_id)
        assert self._blocks.chain is not None, "histories are read after a tip was seen"
        self._linker.set_chain(self._blocks.chain)
        try:
            history = await read_history(explorer, project_id, now(), self._linker)
        except SourceError as error:
            self._unreadable[project_id] += error.code != LINKING
            return error
        for _, placed in history.txs:
            concern(placed.tx, self._watched, self._founding_of)
        await outbox.put(history)
        at = asyncio.get_running_loop().time()
        self._told[project_id] = _Told(history.tip.hash, self._blocks.gaps, at)
        return None

    async def _unindexed(self) -> list[str]:
        """The projects whose history is to be read: not those that were told and are on their way.

        Others may fill the queue to the record, so nobody waits until it is empty. What the record
        did not take, because of another chain, is read again after a reorg, a gap, or a while.
        """
        chain, found = self._blocks.chain, await self._record.unindexed_projects()
        until = asyncio.get_running_loop().time() - _TOLD_SECONDS
        self._told = {
            project_id: told
            for project_id, told in self._told.items()
            if told.at > until
            and told.gaps == self._blocks.gaps
            and chain is not None
            and chain.height_of(told.tip_hash) is not None
        }
        return [project_id for project_id in found if project_id not in self._told]

    async def _tell_progress(self, outbox: asyncio.Queue[Observation], left: int) -> None:
        """How far the first pass over all projects is."""
        if self._indexed:
            return
        await outbox.put(Progress(_INDEX, self._index_total - left, self._index_total, now()))
        self._indexed = left == 0

    async def _look_at_mempool(
        self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert peer.explorer is not None, "only hosts that were met are ranked"
        time = asyncio.get_running_loop().time()
        if time - self._mempool_at < self._settings.mempool(self._network):
            return
        spare = peer.http.bucket.available() - _VIEW_REQUESTS
        if spare < 0:
            return  # blocks come first
        self._mempool_at = time
        projects = await self._record.active_projects(min(_ACTIVE_PROJECTS, spare))
        known = await self._record.unconfirmed()
        view = await self._mempool.read(peer.explorer, projects, known, now(), spare)
        told = bool(view.txs or view.gone) or time - self._viewed_at > _VIEW_SECONDS
        # With a block in between, what left the mempool may have gone into it.
        if told and await peer.explorer.tip_hash() == self._blocks.tip.hash:
            self._viewed_at = time
            await outbox.put(view)

    async def _report(self, outbox: asyncio.Queue[Observation]) -> None:
        """Health: a change of condition at once, moved figures now and then."""
        time = asyncio.get_running_loop().time()
        for health in self._pool.health(self._settings.verify or "blocks"):
            told_at, told = self._reported.get(health.name, (-1e9, None))
            same = told is not None and (told.state, told.last_error) == (
                health.state,
                health.last_error,
            )
            if not same or time - told_at >= self._settings.health_seconds:
                self._reported[health.name] = (time, health)
                await outbox.put(health)

    async def _rest(self) -> None:
        """Until the next look at the tip, or sooner when the record has something to index."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.poll(self._network)):
                while True:
                    await self._news.wait()
                    self._news.clear()
                    waiting = await self._unindexed()
                    if any(not self._unreadable[one] for one in waiting):
                        return

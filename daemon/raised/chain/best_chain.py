"""Following the best chain of an explorer: block by block, back over a reorg, across a gap."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from raised.chain.block_scan import FoundingTest, WatchSet, read_and_scan
from raised.chain.deep_forks import DeepForks
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.fork import Fork, add_past_headers, find_fork, read_end_of_chain
from raised.chain.header_chain import MEDIAN_SPAN, HeaderChain
from raised.chain.ports import ChainRecord
from raised.chain.settings import ChainSettings
from raised.clock import now
from raised.domain.angor.network import Network
from raised.domain.bitcoin.block import Header, parse_header, work
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    Observation,
    PlacedTx,
    RolledBack,
    TipSeen,
)
from raised.errors import BadData, InvalidInput, Refused, Unavailable

_VERIFY_BLOCKS: Final = "blocks"
# Weight units of relevant transactions read ahead on a fork that is not heavier yet: 16 full
# blocks. A fork of that many blocks full of our transactions is reported before all is read, or
# an explorer could fill the memory.
_MAX_UNREPORTED_WEIGHT: Final = 64_000_000
# At the first start with `agreement` above 1: how long slow explorers may take to show a tip
# before those that answered decide which chain is followed. One timeout of a request.
_FIRST_TIP_SECONDS: Final = 15.0
_log = structlog.get_logger()


class BestChain:
    """The chain as we follow it.

    `chain` is None until a tip was seen. `gaps`: how often blocks were skipped; a history read
    before a gap may miss what the skipped blocks held.
    """

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        pool: ExplorerPool,
        watched: WatchSet,
        founding_of: FoundingTest,
    ) -> None:
        self._settings = settings
        self._network = network.name
        self._pool = pool
        self._watched = watched
        self._founding_of = founding_of
        # When each explorer first showed a fork that nothing speaks for yet.
        self._doubtful_since: dict[str, float] = {}
        # Any reorg that finality allows, and the headers below it that median times need.
        self._kept_headers = settings.finality + 2 * MEDIAN_SPAN
        self._first_asked_at: float | None = None
        self._deep_forks = DeepForks(settings, pool)
        self.chain: HeaderChain | None = None
        self.gaps = 0

    async def load(self, record: ChainRecord) -> None:
        """Continue from the newest blocks of the record."""
        linked: list[BlockRef] = []
        for ref in await record.recent_blocks(self._settings.finality + MEDIAN_SPAN):
            if linked and linked[-1].prev_hash != ref.hash:
                break  # older blocks are in the record for their transactions, with gaps between
            linked.append(ref)
        if linked:
            headers = [parse_header(ref.header) for ref in reversed(linked)]
            self.chain = HeaderChain(linked[-1].height, headers)

    @property
    def tip(self) -> BlockRef:
        """The newest block that was reported."""
        assert self.chain is not None, "a tip was seen"
        return self.chain.ref(self.chain.height)

    async def advance(self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]) -> bool:
        """Report what the peer's chain has beyond ours. Raises SourceError.

        False when its chain is another one that is not followed (yet): then another is asked.
        """
        explorer = peer.explorer
        assert explorer is not None, "by_preference gives only peers that were probed"
        if self.chain is None:
            return await self._begin(peer, explorer, outbox)
        if peer.tip_hash == self.chain.tip.hash:
            self._doubtful_since.pop(peer.name, None)
            self._deep_forks.forget(peer)
            return True
        self.chain = await add_past_headers(explorer, self.chain)
        fork = await self._find_fork(peer, explorer, self.chain)
        if fork is None:
            return False
        agreed = await self._is_agreed(peer, fork.tip_height, fork.tip_hash)
        if not agreed or not self._is_preferred(peer, fork):
            return False
        if fork.headers is not None and self._reads_blocks(peer):
            await self._read_blocks(peer, fork.ancestor, fork.headers, outbox)
        else:
            await self._skip_blocks(explorer, fork, outbox)
        return True

    async def _find_fork(
        self, peer: ExplorerPeer, explorer: Explorer, chain: HeaderChain
    ) -> Fork | None:
        """What the peer's chain has beyond ours; None for one that left ours too deep.

        Raises DeepFork when that is for an operator to decide.
        """
        if self._deep_forks.shows(peer):
            self._deep_forks.check(chain)
            return None
        most = self._settings.catch_up_blocks if self._reads_blocks(peer) else 1
        fork = await find_fork(explorer, chain, most, self._network)
        if fork is None:
            self._deep_forks.record(peer, await explorer.block_hash(chain.base))
            self._deep_forks.check(chain)
            return None
        self._deep_forks.forget(peer)
        peer.set_tip(fork.tip_hash)
        return fork

    def mark_deep_forks(self) -> None:
        """Name the explorers that left our chain too deep, once all had a turn to say the same."""
        self._deep_forks.mark()

    def _reads_blocks(self, peer: ExplorerPeer) -> bool:
        return peer.has_raw_blocks and self._settings.verify in (None, _VERIFY_BLOCKS)

    async def _is_agreed(self, peer: ExplorerPeer, height: int, tip_hash: str | None) -> bool:
        """Whether `agreement` explorers have this block, or all that can have it."""
        if self._settings.agreement < 2 or len(self._pool.peers) < 2 or tip_hash is None:
            return True
        agreeing, able = await self._pool.count_agreement(height, tip_hash, peer)
        return agreeing >= min(self._settings.agreement, able)

    def _is_preferred(self, peer: ExplorerPeer, fork: Fork) -> bool:
        """Whether a fork is followed: at once when its work and blocks show it is the best chain.

        Else when it lasts: the tip goes back for a while when an explorer reorganises
        (docs/chain-api.md 9), and headers alone are cheap to make on some networks. As long as
        another explorer shows our chain, it is not followed however long it lasts.
        """
        if self._is_proven_best(peer, fork):
            self._doubtful_since.pop(peer.name, None)
            return True
        time = asyncio.get_running_loop().time()
        since = self._doubtful_since.setdefault(peer.name, time)
        lasts = time - since > self._settings.fork_wait(self._network)
        if lasts and not self._is_shown_above(fork.ancestor):
            self._doubtful_since.clear()
            return True
        peer.set_chain_problem(
            "unsure", "shows a fork of our chain without more work, or without its blocks"
        )
        return False

    def _is_proven_best(self, peer: ExplorerPeer, fork: Fork) -> bool:
        assert self.chain is not None, "checked by the caller"
        extends = fork.ancestor == self.chain.height
        heavier = fork.work > self.chain.work_above(fork.ancestor)
        if self._reads_blocks(peer):
            return extends or heavier
        if self._settings.verify in (None, _VERIFY_BLOCKS):
            # This peer has no raw blocks: its headers alone replace nothing.
            return extends and not self._pool.others_serve_blocks(peer)
        return extends or heavier

    def _is_shown_above(self, ancestor: int) -> bool:
        """Whether an explorer shows blocks of our chain above this height."""
        assert self.chain is not None, "checked by the caller"
        chain = self.chain
        tips = (peer.tip_hash for peer in self._pool.peers if peer.available)
        return any(tip is not None and (chain.height_of(tip) or 0) > ancestor for tip in tips)

    async def _roll_back(
        self, explorer: str, ancestor: int, tip: BlockRef, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert self.chain is not None, "checked by the caller"
        lost = self.chain.height - ancestor
        _log.warning("reorg", explorer=explorer, fork=ancestor, blocks=lost)
        await outbox.put(RolledBack(self.chain.ref(ancestor), tip, explorer, now()))
        self.chain = self.chain.cut(ancestor)
        self._pool.reset_chain_membership()

    async def _begin(
        self, peer: ExplorerPeer, explorer: Explorer, outbox: asyncio.Queue[Observation]
    ) -> bool:
        """Follow the chain that the peer shows, unless too few others show it.

        What is below the first tip is never compared again, so one explorer alone must not
        choose it where `agreement` asks for more.
        """
        chain = await self._read_end(explorer)
        if self._waits_for_slow_peers():
            return False
        if not await self._is_agreed(peer, chain.height, chain.tip.hash):
            return False
        await self._report_tip(explorer, chain, outbox, gap=False)
        return True

    def _waits_for_slow_peers(self) -> bool:
        """Whether a slow peer may still answer: the quickest must not choose the chain alone."""
        time = asyncio.get_running_loop().time()
        self._first_asked_at = time if self._first_asked_at is None else self._first_asked_at
        if self._settings.agreement < 2 or time - self._first_asked_at > _FIRST_TIP_SECONDS:
            return False
        return any(peer.polling for peer in self._pool.peers)

    async def _skip_blocks(
        self, explorer: Explorer, fork: Fork, outbox: asyncio.Queue[Observation]
    ) -> None:
        """Follow a fork without reading its blocks: address histories tell what they hold."""
        assert self.chain is not None, "checked by the caller"
        new = self.chain.cut(fork.ancestor)
        for header in fork.headers or ():
            new = new.grown(header, self._kept_headers)
        if new.tip.hash != fork.tip_hash:
            end = await self._read_end(explorer, fork.tip_height)
            common = end.at(fork.ancestor)
            if end.tip.hash != fork.tip_hash or common not in (None, new.at(fork.ancestor)):
                raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
            new = end
        if fork.ancestor < self.chain.height:
            await self._roll_back(explorer.name, fork.ancestor, new.ref(new.height), outbox)
        await self._report_tip(explorer, new, outbox, gap=True)

    async def _read_end(self, explorer: Explorer, at: int | None = None) -> HeaderChain:
        """The end of the explorer's chain: headers for any reorg that finality allows."""
        count = self._settings.finality + MEDIAN_SPAN + 1
        return await read_end_of_chain(explorer, self._network, count, at)

    async def _report_tip(
        self,
        explorer: Explorer,
        chain: HeaderChain,
        outbox: asyncio.Queue[Observation],
        *,
        gap: bool,
    ) -> None:
        """Continue from this tip, with the blocks below it that finality may still undo."""
        # The record keeps median times, and those need the ten headers below.
        lowest_with_median = chain.base + MEDIAN_SPAN if chain.base else 0
        lowest = max(lowest_with_median, chain.height - self._settings.finality)
        if self.chain is not None:
            lowest = max(lowest, self.chain.height + 1)
        below = tuple(chain.ref(height) for height in range(lowest, chain.height))
        await outbox.put(TipSeen(chain.ref(chain.height), explorer.name, now(), gap, below))
        self.chain = chain
        self.gaps += gap

    async def _read_blocks(
        self,
        peer: ExplorerPeer,
        ancestor: int,
        headers: Sequence[Header],
        outbox: asyncio.Queue[Observation],
    ) -> None:
        """Follow the blocks above the common ancestor, each read and checked before its report.

        Our blocks are rolled back only once the blocks read have more work than those they
        replace: headers without their blocks roll nothing back.
        """
        assert self.chain is not None, "checked by the caller"
        missing_work, weight = self.chain.work_above(ancestor), 0
        chain, read = self.chain.cut(ancestor), list[BlockSeen]()
        for header in headers:
            chain = chain.grown(header, self._kept_headers)
            read.append(await self._read_block(peer, chain))
            missing_work -= work(header.bits)
            weight += sum(placed.tx.weight for placed in read[-1].txs)
            if missing_work < 0 or weight > _MAX_UNREPORTED_WEIGHT:
                await self._report_blocks(peer.name, ancestor, headers, read, outbox)
                read.clear()
        await self._report_blocks(peer.name, ancestor, headers, read, outbox)

    async def _report_blocks(
        self,
        explorer: str,
        ancestor: int,
        headers: Sequence[Header],
        read: Sequence[BlockSeen],
        outbox: asyncio.Queue[Observation],
    ) -> None:
        """Report blocks, and before the first of them the rollback of those they replace."""
        assert self.chain is not None, "checked by the caller"
        replaced = self.chain.at(ancestor + 1)
        if replaced is not None and (not headers or replaced.hash != headers[0].hash):
            new = HeaderChain(ancestor, [self.chain.cut(ancestor).tip, *headers])
            await self._roll_back(explorer, ancestor, new.ref(new.height), outbox)
        for seen in read:
            await outbox.put(seen)
            header = parse_header(seen.block.header)
            self.chain = self.chain.grown(header, self._kept_headers)

    async def _read_block(self, peer: ExplorerPeer, chain: HeaderChain) -> BlockSeen:
        """The block at the tip of this chain, read and checked."""
        explorer = peer.explorer
        assert explorer is not None, "by_preference gives only peers that were probed"
        raw = await self._fetch_raw(peer, explorer, chain.tip)
        txs = await self._scan(explorer, raw, chain.tip.hash)
        return BlockSeen(chain.ref(chain.height), txs, explorer.name, now())

    async def _fetch_raw(self, peer: ExplorerPeer, explorer: Explorer, header: Header) -> bytes:
        raw = await _raw_block(explorer, header.hash)
        if raw is not None:
            return raw
        # Why is it missing? After a reorg the block may have left the chain. Else its parent, which
        # every explorer of this chain has, shows whether raw blocks are served at all.
        if await explorer.tip_hash() != peer.tip_hash:
            raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
        if await _raw_block(explorer, header.prev_hash) is not None:
            raise Unavailable(explorer.name, "does not give a block that it shows", "withheld")
        peer.mark_no_raw_blocks()
        raise Unavailable(explorer.name, "has no raw blocks", "no_raw_blocks")

    async def _scan(self, explorer: Explorer, raw: bytes, block_hash: str) -> tuple[PlacedTx, ...]:
        """The relevant transactions of a raw block; what it adds is watched from here on.

        In a thread, as a full block takes a few tenths of a second. The thread goes on when this
        turn is cancelled, so it changes nothing: a block that was not reported is scanned again.
        """
        try:
            scanned = await asyncio.to_thread(
                read_and_scan, raw, block_hash, self._watched, self._founding_of
            )
        except InvalidInput as error:
            raise BadData(
                explorer.name, "sent a block that does not match its hashes", "wrong_block"
            ) from error
        self._watched.add_all(scanned.added)
        return scanned.txs


async def _raw_block(explorer: Explorer, block_hash: str) -> bytes | None:
    try:
        return await explorer.raw_block(block_hash)
    except Refused:
        return None

"""Following the best chain of an explorer: block by block, back over a reorg, across a gap."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.fork import Fork, end_of_chain, find_fork, with_past
from raised.chain.header_chain import MEDIAN_SPAN, HeaderChain
from raised.chain.pool import ExplorerPool
from raised.chain.ports import ChainRecord
from raised.chain.scan import FoundingTest, Watched, read_and_scan
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
from raised.errors import BadData, InvalidInput, RecordUnavailable, Refused, Unavailable

_READ_BLOCKS: Final = "blocks"
# So much of what was read of a branch is kept back until the branch is believed: 16 full blocks.
_MOST_UNTOLD: Final = 64_000_000
_FIRST_SECONDS: Final = 15.0  # so long the first tip waits for those that are slow to answer
_log = structlog.get_logger()


class BestChain:
    """The chain as we follow it; `chain` is None until a tip was seen."""

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        pool: ExplorerPool,
        watched: Watched,
        founding_of: FoundingTest,
    ) -> None:
        self._settings = settings
        self._network = network.name
        self._pool = pool
        self._watched = watched
        self._founding_of = founding_of
        self._unsure_since: dict[str, float] = {}
        self._keep = settings.finality + 2 * MEDIAN_SPAN
        self._begun_at: float | None = None
        self.chain: HeaderChain | None = None
        self.gaps = 0  # that were jumped over: what histories said before is not all

    async def load(self, record: ChainRecord) -> None:
        """Go on where the record ends."""
        linked: list[BlockRef] = []
        for ref in await record.recent_blocks(self._settings.finality + MEDIAN_SPAN):
            if linked and linked[-1].prev_hash != ref.hash:
                break  # older blocks are kept for their facts alone
            linked.append(ref)
        if linked:
            headers = [parse_header(ref.header) for ref in reversed(linked)]
            self.chain = HeaderChain(linked[-1].height, headers)

    @property
    def tip(self) -> BlockRef:
        """The newest block that was reported."""
        assert self.chain is not None, "asked only after a tip was seen"
        return self.chain.ref(self.chain.height)

    async def advance(self, peer: ExplorerPeer, outbox: asyncio.Queue[Observation]) -> bool:
        """Report what the host's chain has beyond ours. Raises SourceError.

        False when it has another tip that is not believed, so that another host shall be asked.
        """
        explorer = peer.explorer
        assert explorer is not None, "only hosts that were met are ranked"
        if self.chain is None:
            return await self._begin(peer, explorer, outbox)
        if peer.tip_hash == self.chain.tip.hash:
            self._unsure_since.pop(peer.name, None)
            return True
        self.chain = await with_past(explorer, self.chain)
        branch = await self._branch(peer, explorer, self.chain)
        agreed = await self._is_agreed(peer, branch.height, branch.tip_hash)
        if not agreed or not self._is_preferred(peer, branch):
            return False
        if branch.headers is not None and self._reads_blocks(peer):
            await self._read(peer, branch.fork, branch.headers, outbox)
        else:
            await self._skip(explorer, branch, outbox)
        return True

    async def _branch(self, peer: ExplorerPeer, explorer: Explorer, chain: HeaderChain) -> Fork:
        most = self._settings.catch_up_blocks if self._reads_blocks(peer) else 1
        branch = await find_fork(explorer, chain, most, self._network)
        if branch is None:
            raise self._too_deep(explorer)
        peer.set_tip(branch.tip_hash)
        return branch

    def _too_deep(self, explorer: Explorer) -> Exception:
        """The error for a chain that left ours below all we keep: for an operator to judge.

        Where others are asked too, one explorer alone must not be able to end the process.
        """
        if len(self._pool.peers) > 1:
            return BadData(explorer.name, "left our chain deeper than finality", "deep_fork")
        return RecordUnavailable(
            f"{explorer.name} left our chain more than {self._settings.finality} blocks ago: "
            "if that is right, undo them with `raised db rewind --to HEIGHT`"
        )

    def _reads_blocks(self, peer: ExplorerPeer) -> bool:
        return peer.has_raw_blocks and self._settings.verify in (None, _READ_BLOCKS)

    async def _is_agreed(self, peer: ExplorerPeer, height: int, tip_hash: str | None) -> bool:
        """Whether as many explorers as asked for have this tip, of those that can have it."""
        if self._settings.agreement < 2 or len(self._pool.peers) < 2 or tip_hash is None:
            return True
        agree, able = await self._pool.count_agreement(height, tip_hash, peer)
        return agree >= min(self._settings.agreement, able)

    def _is_preferred(self, peer: ExplorerPeer, branch: Fork) -> bool:
        """Whether a branch is followed: at once when its work and blocks show it is the best one.

        Else when it lasts: a tip goes back for a while when an explorer reorganises (chain-api.md
        9), and headers alone are cheap to make on some networks. As long as another explorer shows
        ours, no time is enough.
        """
        if self._is_sure(peer, branch):
            self._unsure_since.pop(peer.name, None)
            return True
        time = asyncio.get_running_loop().time()
        since = self._unsure_since.setdefault(peer.name, time)
        lasts = time - since > self._settings.patience(self._network)
        if lasts and not self._is_held(branch.fork):
            self._unsure_since.clear()
            return True
        peer.set_chain_problem(
            "unsure", "shows another chain than ours and nothing that speaks for it"
        )
        return False

    def _is_sure(self, peer: ExplorerPeer, branch: Fork) -> bool:
        assert self.chain is not None, "checked by the caller"
        extends = branch.fork == self.chain.height
        heavier = branch.work > self.chain.work_above(branch.fork)
        if self._reads_blocks(peer):
            return extends or heavier
        if self._settings.verify in (None, _READ_BLOCKS):
            return extends and not self._pool.others_serve_blocks(peer)
        return extends or heavier

    def _is_held(self, fork: int) -> bool:
        """Whether an explorer shows our chain above this height."""
        assert self.chain is not None, "checked by the caller"
        chain = self.chain
        tips = (peer.tip_hash for peer in self._pool.peers if peer.available)
        return any(tip is not None and (chain.height_of(tip) or 0) > fork for tip in tips)

    async def _roll_back(
        self, explorer: str, fork: int, tip: BlockRef, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert self.chain is not None, "checked by the caller"
        lost = self.chain.height - fork
        _log.warning("reorg", explorer=explorer, fork=fork, blocks=lost)
        await outbox.put(RolledBack(self.chain.ref(fork), tip, explorer, now()))
        self.chain = self.chain.cut(fork)
        self._pool.reset_chain_membership()

    async def _begin(
        self, peer: ExplorerPeer, explorer: Explorer, outbox: asyncio.Queue[Observation]
    ) -> bool:
        """Follow the chain that the host shows, unless too few others show it.

        What is below the first tip is never compared again, so one alone must not choose it.
        """
        chain = await self._end(explorer)
        if self._awaits_others():
            return False
        if not await self._is_agreed(peer, chain.height, chain.tip.hash):
            return False
        await self._jump(explorer, chain, outbox, gap=False)
        return True

    def _awaits_others(self) -> bool:
        """Whether another may answer soon: the quickest must not choose alone."""
        time = asyncio.get_running_loop().time()
        self._begun_at = time if self._begun_at is None else self._begun_at
        if self._settings.agreement < 2 or time - self._begun_at > _FIRST_SECONDS:
            return False
        return any(one.polling for one in self._pool.peers)

    async def _skip(
        self, explorer: Explorer, branch: Fork, outbox: asyncio.Queue[Observation]
    ) -> None:
        """Go on without the blocks of a branch: address histories tell what they held."""
        assert self.chain is not None, "checked by the caller"
        new = self.chain.cut(branch.fork)
        for header in branch.headers or ():
            new = new.grown(header, self._keep)
        if new.tip.hash != branch.tip_hash:
            end = await self._end(explorer, branch.height)
            ours = end.at(branch.fork)
            if end.tip.hash != branch.tip_hash or ours not in (None, new.at(branch.fork)):
                raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
            new = end
        if branch.fork < self.chain.height:
            await self._roll_back(explorer.name, branch.fork, new.ref(new.height), outbox)
        await self._jump(explorer, new, outbox, gap=True)

    async def _end(self, explorer: Explorer, at: int | None = None) -> HeaderChain:
        """The end of the explorer's chain: enough for any reorg that finality allows."""
        count = self._settings.finality + MEDIAN_SPAN + 1
        return await end_of_chain(explorer, self._network, count, at)

    async def _jump(
        self,
        explorer: Explorer,
        chain: HeaderChain,
        outbox: asyncio.Queue[Observation],
        *,
        gap: bool,
    ) -> None:
        known = chain.base + MEDIAN_SPAN if chain.base else 0  # from there on with its median times
        lowest = max(known, chain.height - self._settings.finality)
        if self.chain is not None:
            lowest = max(lowest, self.chain.height + 1)
        below = tuple(chain.ref(height) for height in range(lowest, chain.height))
        await outbox.put(TipSeen(chain.ref(chain.height), explorer.name, now(), gap, below))
        self.chain = chain
        self.gaps += gap

    async def _read(
        self,
        peer: ExplorerPeer,
        fork: int,
        headers: Sequence[Header],
        outbox: asyncio.Queue[Observation],
    ) -> None:
        """Follow blocks above the fork, each read and checked before it is told.

        Blocks of ours that they replace are taken back only when so many were read that those have
        more work: headers without the blocks to them are no reason to take anything back.
        """
        assert self.chain is not None, "checked by the caller"
        owed, weight = self.chain.work_above(fork), 0
        chain, read = self.chain.cut(fork), list[BlockSeen]()
        for header in headers:
            chain = chain.grown(header, self._keep)
            read.append(await self._block(peer, chain))
            owed -= work(header.bits)
            weight += sum(one.tx.weight for one in read[-1].txs)
            if owed < 0 or weight > _MOST_UNTOLD:
                await self._tell(peer.name, fork, headers, read, outbox)
                read.clear()
        await self._tell(peer.name, fork, headers, read, outbox)

    async def _tell(
        self,
        explorer: str,
        fork: int,
        headers: Sequence[Header],
        read: Sequence[BlockSeen],
        outbox: asyncio.Queue[Observation],
    ) -> None:
        """Report blocks, and before the first of them that they replace others."""
        assert self.chain is not None, "checked by the caller"
        replaced = self.chain.at(fork + 1)
        if replaced is not None and (not headers or replaced.hash != headers[0].hash):
            new = HeaderChain(fork, [self.chain.cut(fork).tip, *headers])
            await self._roll_back(explorer, fork, new.ref(new.height), outbox)
        for seen in read:
            await outbox.put(seen)
            header = parse_header(seen.block.header)
            self.chain = self.chain.grown(header, self._keep)

    async def _block(self, peer: ExplorerPeer, chain: HeaderChain) -> BlockSeen:
        """The block at the tip of this chain, read and checked."""
        explorer = peer.explorer
        assert explorer is not None, "only hosts that were met are ranked"
        raw = await self._raw_block(peer, explorer, chain.tip)
        txs = await self._scan(explorer, raw, chain.tip.hash)
        return BlockSeen(chain.ref(chain.height), txs, explorer.name, now())

    async def _raw_block(self, peer: ExplorerPeer, explorer: Explorer, header: Header) -> bytes:
        raw = await _raw(explorer, header.hash)
        if raw is not None:
            return raw
        if await explorer.tip_hash() != peer.tip_hash:  # then the block may have left its chain
            raise Unavailable(explorer.name, "moved to another chain while we read", "moved")
        if await _raw(explorer, header.prev_hash) is not None:
            raise Unavailable(explorer.name, "does not give a block that it shows", "withheld")
        peer.mark_no_raw_blocks()
        raise Unavailable(explorer.name, "has no raw blocks", "no_raw_blocks")

    async def _scan(self, explorer: Explorer, raw: bytes, block_hash: str) -> tuple[PlacedTx, ...]:
        try:
            return await asyncio.to_thread(
                read_and_scan, raw, block_hash, self._watched, self._founding_of
            )
        except InvalidInput as error:
            raise BadData(
                explorer.name, "sent a block that does not prove itself", "wrong_block"
            ) from error


async def _raw(explorer: Explorer, block_hash: str) -> bytes | None:
    try:
        return await explorer.raw_block(block_hash)
    except Refused:
        return None

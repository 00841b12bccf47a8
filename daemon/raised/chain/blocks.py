"""Following the best chain of an explorer: block by block, back over a reorg, across a gap."""

import asyncio
from typing import Final

import structlog

from raised.chain.branch import Branch, end_of_chain, find_branch, with_past
from raised.chain.explorer import Explorer
from raised.chain.headers import MEDIAN_SPAN, HeaderChain
from raised.chain.host import Host
from raised.chain.knowledge import ChainRecord
from raised.chain.panel import Panel
from raised.chain.scan import FoundingTest, Watched, read_and_scan
from raised.chain.settings import ChainSettings
from raised.clock import now
from raised.domain.block import Header, parse_header
from raised.domain.network import Network
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
_log = structlog.get_logger()


class Blocks:
    """The chain as we follow it; `chain` is None until a tip was seen."""

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        panel: Panel,
        watched: Watched,
        founding_of: FoundingTest,
    ) -> None:
        self._settings = settings
        self._network = network.name
        self._panel = panel
        self._watched = watched
        self._founding_of = founding_of
        self._weaker_since: dict[str, float] = {}
        self.chain: HeaderChain | None = None

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

    async def advance(self, host: Host, outbox: asyncio.Queue[Observation]) -> bool:
        """Report what the host's chain has beyond ours. Raises SourceError.

        False when it has another tip that is not believed, so that another host shall be asked.
        """
        explorer = host.explorer
        assert explorer is not None, "only hosts that were met are ranked"
        if self.chain is None:
            return await self._begin(host, explorer, outbox)
        if host.tip_hash == self.chain.tip.hash:
            self._weaker_since.pop(host.name, None)
            return True
        self.chain = await with_past(explorer, self.chain)
        branch = await self._branch(host, explorer, self.chain)
        agreed = await self._is_agreed(host, branch.height, host.tip_hash)
        if not agreed or not self._is_preferred(host, branch):
            return False
        if branch.fork < self.chain.height:
            await self._roll_back(explorer, branch, outbox)
        if branch.headers is None or not self._reads_blocks(host):
            chain = await end_of_chain(explorer, self._network)
            await self._jump(explorer, chain, outbox, gap=True)
            return True
        for header in branch.headers:
            await self._follow(host, explorer, header, outbox)
        return True

    async def _branch(self, host: Host, explorer: Explorer, chain: HeaderChain) -> Branch:
        most = self._settings.catch_up_blocks if self._reads_blocks(host) else 1
        branch = await find_branch(explorer, chain, most, self._network)
        if branch is None:
            raise self._too_deep(explorer)
        return branch

    def _too_deep(self, explorer: Explorer) -> Exception:
        """The error for a chain that left ours below all we keep: for an operator to judge.

        Where others are asked too, one explorer alone must not be able to end the process.
        """
        if len(self._panel.hosts) > 1:
            return BadData(explorer.name, "left our chain deeper than finality", "deep_fork")
        return RecordUnavailable(
            f"{explorer.name} left our chain more than {self._settings.finality} blocks ago: "
            "if that is right, undo them with `raised db rewind --to HEIGHT`"
        )

    def _reads_blocks(self, host: Host) -> bool:
        return host.raw_blocks and self._settings.verify in (None, _READ_BLOCKS)

    async def _is_agreed(self, host: Host, height: int, tip_hash: str | None) -> bool:
        """Whether as many explorers as asked for have this tip, of those that can have it."""
        if self._settings.agreement < 2 or len(self._panel.hosts) < 2 or tip_hash is None:
            return True
        agree, able = await self._panel.agreeing(height, tip_hash, host)
        return agree >= min(self._settings.agreement, able)

    def _is_preferred(self, host: Host, branch: Branch) -> bool:
        """Whether another branch replaces ours: with more work at once, else when it persists.

        A tip goes back for a while when an explorer reorganises (chain-api.md 9). As long as
        another explorer shows ours, no time is enough.
        """
        assert self.chain is not None, "checked by the caller"
        if branch.fork == self.chain.height:
            self._weaker_since.pop(host.name, None)
            return True
        heavier = branch.work is None or branch.work > self.chain.work_above(branch.fork)
        time = asyncio.get_running_loop().time()
        since = self._weaker_since.setdefault(host.name, time)
        persists = time - since > self._settings.patience(self._network)
        if heavier or (persists and not self._is_held(branch.fork)):
            self._weaker_since.clear()
            return True
        host.lagging = True
        return False

    def _is_held(self, fork: int) -> bool:
        """Whether an explorer shows our chain above this height."""
        assert self.chain is not None, "checked by the caller"
        chain = self.chain
        tips = (host.tip_hash for host in self._panel.hosts if host.available)
        return any(tip is not None and (chain.height_of(tip) or 0) > fork for tip in tips)

    async def _roll_back(
        self, explorer: Explorer, branch: Branch, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert self.chain is not None, "checked by the caller"
        lost = self.chain.height - branch.fork
        _log.warning("reorg", explorer=explorer.name, fork=branch.fork, blocks=lost)
        kept = self.chain.cut(branch.fork)
        new = HeaderChain(branch.fork, [kept.tip, *(branch.headers or ())])
        to, tip = self.chain.ref(branch.fork), new.ref(new.height)
        await outbox.put(RolledBack(to, tip, explorer.name, now()))
        self.chain = kept
        self._panel.forget_stances()

    async def _begin(
        self, host: Host, explorer: Explorer, outbox: asyncio.Queue[Observation]
    ) -> bool:
        """Follow the chain that the host shows, unless too few others show it.

        What is below the first tip is never compared again, so one alone must not choose it.
        """
        chain = await end_of_chain(explorer, self._network)
        if not await self._is_agreed(host, chain.height, chain.tip.hash):
            return False
        await self._jump(explorer, chain, outbox, gap=False)
        return True

    async def _jump(
        self,
        explorer: Explorer,
        chain: HeaderChain,
        outbox: asyncio.Queue[Observation],
        *,
        gap: bool,
    ) -> None:
        """Go to the explorer's tip without its blocks: address histories tell what they held."""
        tip = chain.ref(chain.height)
        await outbox.put(TipSeen(tip, explorer.name, now(), gap=gap))
        self.chain = chain

    async def _follow(
        self, host: Host, explorer: Explorer, header: Header, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert self.chain is not None, "checked by the caller"
        raw = await self._raw_block(host, explorer, header.hash)
        txs = await self._scan(explorer, raw, header.hash)
        grown = self.chain.grown(header, self._settings.finality + 2 * MEDIAN_SPAN)
        await outbox.put(BlockSeen(grown.ref(grown.height), txs, explorer.name, now()))
        self.chain = grown

    async def _raw_block(self, host: Host, explorer: Explorer, block_hash: str) -> bytes:
        try:
            raw = await explorer.raw_block(block_hash)
        except Refused:
            raw = None
        if raw is not None:
            return raw
        if await explorer.tip_hash() != host.tip_hash:  # then the block may have left its chain
            raise Unavailable(explorer.name, "moved to another chain while we read", "moved")
        host.raw_blocks = False
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

"""Whether an old block that an explorer names is an ancestor of the chain we follow.

A merkle proof leads to a header, and anybody can make a header. It counts when we follow the block
at its height or have it in the record, when headers link it to one we know, or when every other
explorer that can be asked names it, too. Of two explorers that name different blocks one
contradicts itself (`disputes.py`). A single explorer has to show the headers in between, unless
that takes too long: then its answer is accepted alone, and the log says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from raised.chain.ancestry.cross_check import CrossCheck
from raised.chain.ancestry.disputes import Disputes
from raised.chain.ancestry.header_links import FOREIGN_BLOCK, HeaderLinks
from raised.chain.ancestry.outcomes import (
    NeedsAnswers,
    NeedsLink,
    NeedsOthers,
    Preparation,
    Proven,
    Ready,
    Verdict,
)
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer.probe import limit_of, pin_of
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import RateLimit
from raised.domain.bitcoin.block import Header, meets_target, target
from raised.domain.observation import BlockRef
from raised.errors import BadData, Unavailable

_MAX_PAGES: Final = 60_000  # of ten hashes, 32 bytes each: 19 MB
_FEW_PAGES: Final = 10  # so many are read at once, whatever the rate limit
# What takes longer than this is spread over turns, so that new blocks do not wait for it.
_AT_ONCE_SECONDS: Final = 10.0
_log = structlog.get_logger()

RecordedHashes = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]


@dataclass(frozen=True, slots=True)
class LinkerTimeouts:
    """How long old blocks may take: reading headers, and waiting for explorers that are away."""

    link_seconds: float = 7200.0
    wait_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class _Goal:
    """Down to which height headers are read. `alone`: only until another explorer can be asked."""

    height: int
    alone: bool


async def nothing_recorded(heights: Collection[int]) -> Mapping[int, str]:
    """The blocks of a record that does not exist."""
    del heights
    return {}


class AncestryLinker:
    """What is known of old blocks, for every history that is read while the process lives.

    `recorded`: gives the hashes of the record's blocks at some heights.
    """

    def __init__(
        self,
        peers: Sequence[ExplorerPeer],
        network: str,
        disputes: Disputes,
        recorded: RecordedHashes = nothing_recorded,
        timeouts: LinkerTimeouts = LinkerTimeouts(),
    ) -> None:
        self._rate_limits = {peer.name: peer.http.rate_limit for peer in peers}
        self._limit = limit_of(network)
        self._recorded = recorded
        self._timeouts = timeouts
        self._links = HeaderLinks(pin_of(network))
        self._cross_check = CrossCheck(peers, disputes, self._links.above)
        # By explorer: the headers it has yet to show, and the heights to ask the others about.
        self._goals: dict[str, _Goal] = {}
        self._questions: dict[str, set[int]] = {}
        self._alone_since: float | None = None
        self._chain: HeaderChain | None = None

    def set_chain(self, chain: HeaderChain) -> None:
        """The chain that is followed from now on."""
        before = self._chain
        if before is not None and chain.at(before.height) != before.tip:
            # After a reorg the other explorers' answers may be about the chain that was left.
            self._cross_check.reset()
        self._chain = chain
        if chain.base > 0:
            self._links.set_root(chain.base - 1, chain.lowest.prev_hash)

    @property
    def tip(self) -> BlockRef:
        """The newest block of the chain that is followed."""
        assert self._chain is not None, "histories are read after a tip was seen"
        return self._chain.ref(self._chain.height)

    async def step(self, explorer: Explorer) -> bool:
        """One request towards what `prepare` or `verify` needs of this explorer; True when done.

        Raises as the explorer does.
        """
        name = explorer.name
        goal, questions = self._goals.get(name), self._questions.get(name)
        if goal is not None:
            is_over = goal.alone and bool(self._cross_check.others_than(explorer))
            if is_over or await self._links.descend(explorer, goal.height):
                del self._goals[name]
        elif questions:
            await self._cross_check.ask_about(explorer, questions.pop())
        return name not in self._goals and not questions

    async def prepare(self, explorer: Explorer, blocks: Collection[tuple[int, str]]) -> Preparation:
        """Fetch what checking these blocks needs, (height, hash), when that is quick.

        Raises as the explorer does.
        """
        unknown = await self._unknown(blocks)
        if not unknown:
            return Ready()
        lowest = min(unknown)
        pages = self._links.pages_to(lowest)
        linking = pages / self._rate_limit(explorer).per_second
        asking = self._cross_check.seconds(explorer, len(unknown))
        # Headers are proof, and serve the next history, too: asking others must be quicker.
        links_sooner = asking is None or linking <= asking
        if pages <= _FEW_PAGES or (links_sooner and linking <= _AT_ONCE_SECONDS):
            while not await self._links.descend(explorer, lowest):
                pass
            return Ready()
        need = self._schedule_link(explorer, lowest) if links_sooner else None
        if need is None and asking is not None and asking > _AT_ONCE_SECONDS:
            return self._schedule_questions(explorer, unknown) or Ready()
        return need or Ready()

    async def verify(self, explorer: Explorer, blocks: Collection[tuple[int, Header]]) -> Verdict:
        """Whether each block has its work, and is the one of our chain at its height.

        The explorer must still show our tip. Raises BadData for blocks that are not ours,
        Unavailable when others contradict and nobody can tell who is right, and as the explorer
        does.
        """
        for _, header in blocks:
            if not meets_target(header) or target(header.bits) > self._limit:
                raise BadData(explorer.name, "puts transactions into blocks without work", "easy")
        hashes = [(height, header.hash) for height, header in blocks]
        preparation = await self.prepare(explorer, hashes)
        if not isinstance(preparation, Ready):
            return preparation
        unknown = await self._unknown(hashes)
        for height, block_hash in hashes:
            if (self._hash_at(height) or unknown.get(height, block_hash)) != block_hash:
                raise self._foreign_block_error(explorer, height)
        return await self._ask_others(explorer, unknown) if unknown else Proven()

    async def _unknown(self, blocks: Iterable[tuple[int, str]]) -> dict[int, str]:
        """Those of the blocks at whose height nothing is known yet."""
        unlinked = {height: named for height, named in blocks if self._hash_at(height) is None}
        recorded = await self._recorded(unlinked.keys()) if unlinked else {}
        return {
            height: named for height, named in unlinked.items() if recorded.get(height) != named
        }

    def _hash_at(self, height: int) -> str | None:
        assert self._chain is not None, "histories are read after a tip was seen"
        header = self._chain.at(height)
        return header.hash if header is not None else self._links.hash_at(height)

    def _foreign_block_error(self, explorer: Explorer, height: int) -> BadData:
        assert self._chain is not None, "histories are read after a tip was seen"
        # Near the tip one of the machines behind one name may be on another fork for a moment;
        # that is forgiven a few times, an old block is not.
        code = "wrong_proof" if height >= self._chain.base else FOREIGN_BLOCK
        return BadData(explorer.name, "puts transactions into blocks of another chain", code)

    async def _ask_others(self, explorer: Explorer, unknown: dict[int, str]) -> Verdict:
        answers = await self._cross_check.ask_all(explorer, unknown)
        if answers.denied:
            need = self._schedule_link(explorer, min(answers.denied))
            if need is None:
                raise Unavailable(explorer.name, "is contradicted about old blocks", "disputed")
            return need
        unconfirmed = unknown.keys() - answers.confirmed
        if not unconfirmed:
            self._alone_since = None
            return Proven()
        need = self._schedule_link(explorer, min(unconfirmed))
        if need is not None:
            return need
        if self._waits_for_others(explorer):
            return NeedsOthers()
        _log.warning(
            "old blocks are accepted from one explorer alone",
            explorer=explorer.name,
            lowest=min(unconfirmed),
            blocks=len(unconfirmed),
        )
        return Proven()

    def _waits_for_others(self, explorer: Explorer) -> bool:
        """Whether another explorer is configured and may come back soon."""
        if self._rate_limits.keys() <= {explorer.name}:
            return False
        time = asyncio.get_running_loop().time()
        self._alone_since = time if self._alone_since is None else self._alone_since
        return time - self._alone_since < self._timeouts.wait_seconds

    def _schedule_link(self, explorer: Explorer, height: int) -> NeedsLink | None:
        """Have `step` read headers down to this height; None when that takes too long."""
        pages = self._links.pages_to(height)
        seconds = pages / self._rate_limit(explorer).per_second
        if pages > _MAX_PAGES or seconds > self._timeouts.link_seconds:
            return None
        alone = not self._cross_check.others_than(explorer)
        self._goals[explorer.name] = _Goal(height, alone=alone)
        _log.info(
            "reads headers from our chain down to old blocks",
            explorer=explorer.name,
            requests=pages,
        )
        return NeedsLink(height)

    def _schedule_questions(
        self, explorer: Explorer, heights: Iterable[int]
    ) -> NeedsAnswers | None:
        """Have `step` ask the others; None when all of them were asked about all heights."""
        not_asked = self._cross_check.heights_not_asked(explorer, heights)
        if not not_asked:
            return None
        self._questions[explorer.name] = not_asked
        return NeedsAnswers(frozenset(not_asked))

    def _rate_limit(self, explorer: Explorer) -> RateLimit:
        return self._rate_limits.get(explorer.name, RateLimit())

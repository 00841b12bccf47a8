"""Old blocks: whether what an explorer says is in one is in a block of the chain we follow.

A merkle proof leads to a header, and anybody can make a header. It counts when we follow the block
at its height or have it in the record, when headers link it to one we know, or when every other
explorer that can be asked names it, too. Of two that name different blocks one contradicts itself
(`disputes.py`). A single explorer has to show the headers in between, unless that takes
too long: then its word is taken, and the log says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from raised.chain.ancestry.cross_check import CrossCheck
from raised.chain.ancestry.disputes import Disputes
from raised.chain.ancestry.header_links import FOREIGN, HeaderLinks
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer.probe import limit_of, pin_of
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import RateLimit
from raised.domain.bitcoin.block import Header, meets_target, target
from raised.domain.observation import BlockRef
from raised.errors import BadData, Unavailable

LINKING: Final = "linking"
ALONE: Final = "alone"
_MOST_PAGES: Final = 60_000  # of ten hashes, 32 bytes each
_FEW_PAGES: Final = 10
_SOON_SECONDS: Final = 10.0  # a history under way may take so much longer
_log = structlog.get_logger()

Recorded = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]


@dataclass(frozen=True, slots=True)
class LinkerTimeouts:
    """How long old blocks may take: reading headers, and waiting for others that are away."""

    link_seconds: float = 7200.0
    wait_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class _Goal:
    """Down to which height headers are read. `alone`: until somebody is there to be asked."""

    height: int
    alone: bool


async def nothing_recorded(heights: Collection[int]) -> Mapping[int, str]:
    """The blocks of a record that does not exist."""
    del heights
    return {}


class AncestryLinker:
    """What is known of old blocks, for every history that is read while the process lives.

    `recorded`: the blocks the record holds at some heights.
    """

    def __init__(
        self,
        peers: Sequence[ExplorerPeer],
        network: str,
        disputes: Disputes,
        recorded: Recorded = nothing_recorded,
        patience: LinkerTimeouts = LinkerTimeouts(),
    ) -> None:
        self._paces = {peer.name: peer.http.rate_limit for peer in peers}
        self._limit = limit_of(network)
        self._recorded = recorded
        self._patience = patience
        self._links = HeaderLinks(pin_of(network))
        self._cross_check = CrossCheck(peers, disputes, self._links.above)
        # What an explorer has yet to show: headers down to a height, and what others say of some.
        self._goals: dict[str, _Goal] = {}
        self._questions: dict[str, set[int]] = {}
        self._alone_since: float | None = None
        self._chain: HeaderChain | None = None

    def set_chain(self, chain: HeaderChain) -> None:
        """This is the chain that is followed."""
        before = self._chain
        if before is not None and chain.at(before.height) != before.tip:
            self._cross_check.forget()
        self._chain = chain
        if chain.base > 0:
            self._links.root(chain.base - 1, chain.lowest.prev_hash)

    @property
    def tip(self) -> BlockRef:
        """The newest block of the chain that is followed."""
        assert self._chain is not None, "histories are read after a tip was seen"
        return self._chain.ref(self._chain.height)

    async def link(self, explorer: Explorer) -> bool:
        """Go one step towards what kept a history from being read; whether it can be now.

        After Unavailable with the code LINKING. Raises as the explorer does.
        """
        name = explorer.name
        goal, questions = self._goals.get(name), self._questions.get(name)
        if goal is not None:
            is_over = goal.alone and bool(self._cross_check.others_than(explorer))
            if is_over or await self._links.descend(explorer, goal.height):
                del self._goals[name]
        elif questions:
            await self._cross_check.ask(explorer, questions.pop())
        return name not in self._goals and not questions

    async def prepare(self, explorer: Explorer, blocks: Collection[tuple[int, str]]) -> None:
        """Get ready for these blocks, by height and hash.

        Raises as the explorer does, and Unavailable (LINKING) when that takes longer: `link`.
        """
        unknown = await self._unknown(blocks)
        if not unknown:
            return
        lowest = min(unknown)
        pages = self._links.pages_to(lowest)
        linking = pages / self._pace(explorer).per_second
        asking = self._cross_check.seconds(explorer, len(unknown))
        # Headers are proof, and serve the next history, too: to ask must be quicker.
        quicker = asking is None or linking <= asking
        if pages <= _FEW_PAGES or (quicker and linking <= _SOON_SECONDS):
            while not await self._links.descend(explorer, lowest):
                pass
            return
        if quicker:
            self._schedule_link(explorer, lowest)
        if asking is not None and asking > _SOON_SECONDS:
            self._question(explorer, unknown)

    async def hold(self, explorer: Explorer, blocks: Collection[tuple[int, Header]]) -> None:
        """Raise unless each block has its work, and its height in our chain.

        The explorer must still show our tip. Raises BadData, Unavailable when it cannot be told
        now, and as the explorer does.
        """
        for _, header in blocks:
            if not meets_target(header) or target(header.bits) > self._limit:
                raise BadData(explorer.name, "puts transactions into blocks without work", "easy")
        named = [(height, header.hash) for height, header in blocks]
        await self.prepare(explorer, named)
        unknown = await self._unknown(named)
        for height, block_hash in named:
            if (self._at(height) or unknown.get(height, block_hash)) != block_hash:
                raise self._foreign(explorer, height)
        if unknown:
            await self._ask_others(explorer, unknown)

    async def _unknown(self, blocks: Iterable[tuple[int, str]]) -> dict[int, str]:
        """The blocks at those heights of which nothing is known yet."""
        open_ = {height: named for height, named in blocks if self._at(height) is None}
        recorded = await self._recorded(open_.keys()) if open_ else {}
        return {height: named for height, named in open_.items() if recorded.get(height) != named}

    def _at(self, height: int) -> str | None:
        assert self._chain is not None, "histories are read after a tip was seen"
        held = self._chain.at(height)
        return held.hash if held is not None else self._links.at(height)

    def _foreign(self, explorer: Explorer, height: int) -> BadData:
        assert self._chain is not None, "histories are read after a tip was seen"
        # Of machines behind one name one may be on another branch for a moment.
        code = "wrong_proof" if height >= self._chain.base else FOREIGN
        return BadData(explorer.name, "puts transactions into foreign blocks", code)

    async def _ask_others(self, explorer: Explorer, unknown: dict[int, str]) -> None:
        heard = await self._cross_check.ask_all(explorer, unknown)
        if heard.denied:
            self._schedule_link(explorer, min(heard.denied))
            raise Unavailable(explorer.name, "is contradicted about old blocks", "disputed")
        unheard = unknown.keys() - heard.agreed
        if not unheard:
            self._alone_since = None
            return
        self._schedule_link(explorer, min(unheard))
        self._wait_for_others(explorer)
        _log.warning(
            "old blocks are believed on one word",
            explorer=explorer.name,
            lowest=min(unheard),
            blocks=len(unheard),
        )

    def _wait_for_others(self, explorer: Explorer) -> None:
        """Raise Unavailable (ALONE) while another explorer may come back soon."""
        if self._paces.keys() <= {explorer.name}:
            return
        time = asyncio.get_running_loop().time()
        self._alone_since = time if self._alone_since is None else self._alone_since
        if time - self._alone_since < self._patience.wait_seconds:
            raise Unavailable(explorer.name, "is alone with what it says of old blocks", ALONE)

    def _schedule_link(self, explorer: Explorer, height: int) -> None:
        """Raise Unavailable (LINKING) when headers down to this height are affordable."""
        pages = self._links.pages_to(height)
        seconds = pages / self._pace(explorer).per_second
        if pages > _MOST_PAGES or seconds > self._patience.link_seconds:
            return
        alone = not self._cross_check.others_than(explorer)
        self._goals[explorer.name] = _Goal(height, alone=alone)
        _log.info("old blocks are linked to ours", explorer=explorer.name, requests=pages)
        raise Unavailable(explorer.name, "has yet to show how old blocks link to ours", LINKING)

    def _question(self, explorer: Explorer, unknown: Iterable[int]) -> None:
        """Raise Unavailable (LINKING) when there are others who were not asked about a height."""
        unasked = self._cross_check.heights_not_asked(explorer, unknown)
        if unasked:
            self._questions[explorer.name] = unasked
            raise Unavailable(explorer.name, "has yet to be confirmed about old blocks", LINKING)

    def _pace(self, explorer: Explorer) -> RateLimit:
        return self._paces.get(explorer.name, RateLimit())

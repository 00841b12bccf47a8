"""Old blocks: whether what an explorer says is in one is in a block of the chain we follow.

A merkle proof leads to a header, and anybody can make a header. It counts when we follow the block
at its height, when headers link it to one we know, or when every other explorer that can be asked
names it, too. Of two that name different blocks one contradicts itself (`raised.chain.dispute`).
A single explorer has to show the headers in between, unless they are more than `link_seconds` of
its pace: then its word is taken, and the log says so.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import structlog

from raised.chain.dispute import Disputes
from raised.chain.explorer import Explorer
from raised.chain.headers import HeaderChain
from raised.chain.host import Host
from raised.chain.probe import limit_of, pin_of
from raised.chain.settings import Pace
from raised.chain.strand import FOREIGN, Strands
from raised.chain.witness import Witnesses
from raised.domain.block import Header, meets_target, target
from raised.domain.observation import BlockRef
from raised.errors import BadData, Unavailable

LINKING: Final = "linking"
_LINK_SECONDS: Final = 1800.0
_MOST_PAGES: Final = 60_000  # of ten hashes, 32 bytes each
_FEW_PAGES: Final = 10  # less trouble than to read a history again
_log = structlog.get_logger()


class Anchors:
    """What is known of old blocks, for every history that is read while the process lives."""

    def __init__(
        self,
        hosts: Sequence[Host],
        network: str,
        disputes: Disputes | None = None,
        link_seconds: float = _LINK_SECONDS,
    ) -> None:
        self._paces = {host.name: host.wire.pace for host in hosts}
        self._limit = limit_of(network)
        self._link_seconds = link_seconds
        self._strands = Strands(pin_of(network))
        self._witnesses = Witnesses(hosts, disputes or Disputes(), self._strands.above)
        self._goals: dict[str, int] = {}  # down to which height an explorer has yet to show headers
        self._chain: HeaderChain | None = None

    def stand_on(self, chain: HeaderChain) -> None:
        """This is the chain that is followed."""
        before = self._chain
        if before is not None and chain.at(before.height) != before.tip:
            self._witnesses.forget()
        self._chain = chain
        if chain.base > 0:
            self._strands.root(chain.base - 1, chain.lowest.prev_hash)

    @property
    def tip(self) -> BlockRef:
        """The newest block of the chain that is followed."""
        assert self._chain is not None, "histories are read after a tip was seen"
        return self._chain.ref(self._chain.height)

    async def link(self, explorer: Explorer) -> bool:
        """Read one page of the headers this explorer owes us; whether that was all.

        After Unavailable with the code LINKING. Raises as the explorer does.
        """
        goal = self._goals.get(explorer.name)
        if goal is not None and await self._strands.descend(explorer, goal):
            del self._goals[explorer.name]
        return explorer.name not in self._goals

    async def reach(self, explorer: Explorer, heights: Iterable[int]) -> None:
        """Get ready for blocks of these heights.

        Raises as the explorer does, and Unavailable (LINKING) when that takes longer: `link`.
        """
        unknown = {height for height in heights if self._at(height) is None}
        if not unknown:
            return
        # With few pages this is no dearer than to ask somebody for each block, and it is proof.
        if self._strands.pages_to(min(unknown)) <= max(len(unknown), _FEW_PAGES):
            while not await self._strands.descend(explorer, min(unknown)):
                pass
        elif not self._witnesses.beside(explorer):
            self._owe(explorer, min(unknown))

    async def hold(self, explorer: Explorer, blocks: Collection[tuple[int, Header]]) -> None:
        """Raise unless each block has its work, and its height in our chain.

        The explorer must still show our tip. Raises BadData, Unavailable when it cannot be told
        now, and as the explorer does.
        """
        for _, header in blocks:
            if not meets_target(header) or target(header.bits) > self._limit:
                raise BadData(explorer.name, "puts transactions into blocks without work", "easy")
        await self.reach(explorer, (height for height, _ in blocks))
        unknown: dict[int, str] = {}
        for height, header in blocks:
            known = self._at(height) or unknown.setdefault(height, header.hash)
            if known != header.hash:
                raise BadData(explorer.name, "puts transactions into foreign blocks", FOREIGN)
        if unknown:
            await self._ask_others(explorer, unknown)

    async def _ask_others(self, explorer: Explorer, unknown: dict[int, str]) -> None:
        heard = await self._witnesses.hear(explorer, unknown)
        if heard.denied:
            self._owe(explorer, min(heard.denied))
            raise Unavailable(explorer.name, "is contradicted about old blocks", "disputed")
        unheard = unknown.keys() - heard.agreed
        if unheard:
            self._owe(explorer, min(unheard))
            _log.warning(
                "old blocks are believed on one word",
                explorer=explorer.name,
                lowest=min(unheard),
                blocks=len(unheard),
            )

    def _owe(self, explorer: Explorer, height: int) -> None:
        """Raise Unavailable (LINKING) when headers down to this height are affordable."""
        pace = self._paces.get(explorer.name, Pace())
        affordable = min(_MOST_PAGES, self._link_seconds * pace.per_second)
        if self._strands.pages_to(height) <= affordable:
            self._goals[explorer.name] = height
            raise Unavailable(explorer.name, "has yet to show how old blocks link to ours", LINKING)

    def _at(self, height: int) -> str | None:
        assert self._chain is not None, "histories are read after a tip was seen"
        held = self._chain.at(height)
        return held.hash if held is not None else self._strands.at(height)

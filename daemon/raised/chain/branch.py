"""What an explorer's best chain has beyond ours: the headers above the common ancestor."""

from collections.abc import Sequence
from dataclasses import dataclass

from raised.chain.explorer import Explorer
from raised.chain.headers import HeaderChain
from raised.chain.probe import limit_of
from raised.domain.block import Header, target, work
from raised.errors import BadData


@dataclass(frozen=True, slots=True)
class Branch:
    """Headers above `fork` (a height on our chain, None: deeper than we keep), lowest first."""

    fork: int | None
    start: int
    headers: Sequence[Header]

    @property
    def work(self) -> int:
        """The work in it."""
        return sum(work(header.bits) for header in self.headers)


async def find_branch(explorer: Explorer, chain: HeaderChain, most: int, network: str) -> Branch:
    """Read headers downwards until one stands on our chain.

    At most `most` headers are read above our base; a branch that forks below it has no fork.
    """
    found: list[Header] = []
    at: int | None = None
    while True:
        page = await explorer.headers(at)
        for height, header in page:
            if chain.height_of(header.hash) == height:
                return Branch(height, height + 1, list(reversed(found)))
            if found and found[-1].prev_hash != header.hash:
                raise BadData(explorer.name, "changed its chain while we read it", "moved")
            if target(header.bits) > limit_of(network):
                raise BadData(explorer.name, "sent a block with too little work", "easy")
            found.append(header)
            if height <= chain.base or len(found) > most:
                return Branch(None, height, list(reversed(found)))
        at = page[-1][0] - 1

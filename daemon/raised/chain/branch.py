"""What an explorer's best chain has beyond ours: the headers above the common ancestor."""

from collections.abc import Sequence
from dataclasses import dataclass

from raised.chain.explorer import Explorer
from raised.chain.headers import MEDIAN_SPAN, HeaderChain
from raised.chain.probe import limit_of
from raised.domain.block import Header, target, work
from raised.errors import BadData, Unavailable


@dataclass(frozen=True, slots=True)
class Branch:
    """Where another chain leaves ours (`fork`, a height we hold) and what it has above.

    `headers` is None when that is more than shall be read block by block.
    """

    fork: int
    height: int
    headers: Sequence[Header] | None

    @property
    def work(self) -> int | None:
        """The work above the fork, None when the headers were not read."""
        return None if self.headers is None else sum(work(one.bits) for one in self.headers)


async def find_branch(
    explorer: Explorer, chain: HeaderChain, most: int, network: str
) -> Branch | None:
    """Where the explorer's chain leaves ours, and its headers above unless more than `most`.

    None when it left below everything that we keep. Raises as the explorer does, and Unavailable
    when its tip is below that: it is reading its chain anew, which says nothing of ours.
    """
    page = await explorer.headers()
    height = page[0][0]
    if height < chain.base:
        raise Unavailable(explorer.name, "is far behind our chain", "behind")
    if height - chain.height > most:
        fork = await _ancestor(explorer, chain)
        return None if fork is None else Branch(fork, height, None)
    found: list[Header] = []
    while True:
        for at, header in page:
            if chain.height_of(header.hash) == at:
                return Branch(at, height, list(reversed(found)))
            _check(explorer, header, found, network)
            found.append(header)
            if at <= chain.base:
                return None
        page = await explorer.headers(page[-1][0] - 1)


def _check(explorer: Explorer, header: Header, above: Sequence[Header], network: str) -> None:
    if above and above[-1].prev_hash != header.hash:
        raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
    if target(header.bits) > limit_of(network):
        raise BadData(explorer.name, "sent a block with less work than its network asks", "easy")


async def _ancestor(explorer: Explorer, chain: HeaderChain) -> int | None:
    """The highest block of ours that the explorer has too: nearly always our tip."""
    for height in range(chain.height, chain.base - 1, -1):
        held = chain.at(height)
        assert held is not None, "every height between base and tip is kept"
        if await explorer.block_hash(height) == held.hash:
            return height
    return None


async def end_of_chain(explorer: Explorer, network: str) -> HeaderChain:
    """The explorer's tip, with as many headers below as its median times need."""
    found: list[tuple[int, Header]] = []
    at: int | None = None
    while len(found) <= MEDIAN_SPAN:
        page = await explorer.headers(at)
        for height, header in page:
            _check(explorer, header, [one for _, one in found], network)
            found.append((height, header))
        if page[-1][0] == 0:
            break
        at = page[-1][0] - 1
    found.reverse()
    return HeaderChain(found[0][0], [header for _, header in found])


async def with_past(explorer: Explorer, chain: HeaderChain) -> HeaderChain:
    """The chain with the headers below that median times need: a record may begin with a tip.

    Each is named by the one above. A chain that the explorer does not share stays as it is.
    """
    while chain.base > 0 and chain.height - chain.base < MEDIAN_SPAN:
        for _, header in await explorer.headers(chain.base - 1):
            if header.hash != chain.lowest.prev_hash:
                return chain
            chain = chain.rooted(header)
    return chain

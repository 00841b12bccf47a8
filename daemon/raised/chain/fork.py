"""What an explorer's best chain has beyond ours: the headers above the common ancestor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.chain.difficulty import may_follow, may_lie_above
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.probe import limit_of
from raised.chain.header_chain import MEDIAN_SPAN, HeaderChain
from raised.clock import now
from raised.domain.bitcoin.block import Header, target, work
from raised.errors import BadData, Unavailable

_PAGE: Final = 10  # headers of one answer


@dataclass(frozen=True, slots=True)
class Fork:
    """Where another chain leaves ours (`fork`, a height we hold) and what it has above.

    `height`, `tip_hash`: of its newest block. `headers`: what is above the fork, linked; fewer when
    it goes far beyond our chain, and then as many as outweigh what they replace, or None when they
    replace nothing.
    """

    fork: int
    height: int
    tip_hash: str
    headers: Sequence[Header] | None

    @property
    def work(self) -> int:
        """The work of the headers above the fork."""
        return sum(work(one.bits) for one in self.headers or ())


async def find_fork(explorer: Explorer, chain: HeaderChain, most: int, network: str) -> Fork | None:
    """Where the explorer's chain leaves ours, and its headers above, all when no more than `most`.

    None when it left below everything that we keep. Raises as the explorer does, and Unavailable
    when its tip is below that: it is reading its chain anew, which says nothing of ours.
    """
    page = await explorer.headers()
    height, tip = page[0]
    if height < chain.base:
        raise Unavailable(explorer.name, "is far behind: our oldest block is missing", "behind")
    if height - chain.height <= most:
        return await _above(explorer, chain, page, network)
    if not may_lie_above(network, (chain.height, chain.tip), page[0], now()):
        raise _too_easy(explorer)
    fork = await _ancestor(explorer, chain)
    if fork is None or fork == chain.height:
        return None if fork is None else Fork(fork, height, tip.hash, None)
    near = min(height, chain.height + max(most, _PAGE, chain.height - fork))
    part = await _above(explorer, chain, await explorer.headers(near), network)
    if part is None:
        return None
    owed = chain.work_above(part.fork)
    return Fork(part.fork, height, tip.hash, _outweighing(part.headers or (), owed))


async def _above(
    explorer: Explorer,
    chain: HeaderChain,
    page: Sequence[tuple[int, Header]],
    network: str,
) -> Fork | None:
    """All headers from the top of this page down to our chain."""
    height, tip = page[0]
    found: list[Header] = []
    while True:
        for at, header in page:
            _check(explorer, header, at, found, network)
            if chain.height_of(header.hash) == at:
                return Fork(at, height, tip.hash, list(reversed(found)))
            found.append(header)
            if at <= chain.base:
                return None
        page = await explorer.headers(page[-1][0] - 1)


def _outweighing(headers: Sequence[Header], owed: int) -> Sequence[Header]:
    """The lowest headers that have more work than this together; all when not even those have."""
    for count, header in enumerate(headers, 1):
        owed -= work(header.bits)
        if owed < 0:
            return headers[:count]
    return headers


def _check(
    explorer: Explorer, header: Header, height: int, above: Sequence[Header], network: str
) -> None:
    if above and above[-1].prev_hash != header.hash:
        raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
    easy = target(header.bits) > limit_of(network)
    if easy or (above and not may_follow(network, height + 1, header, above[-1])):
        raise _too_easy(explorer)


def _too_easy(explorer: Explorer) -> BadData:
    return BadData(explorer.name, "sent a block with less work than its network asks", "easy")


async def _ancestor(explorer: Explorer, chain: HeaderChain) -> int | None:
    """The highest block of ours that the explorer has too: nearly always our tip."""
    for height in range(chain.height, chain.base - 1, -1):
        held = chain.at(height)
        assert held is not None, "every height between base and tip is kept"
        if await explorer.block_hash(height) == held.hash:
            return height
    return None


async def end_of_chain(
    explorer: Explorer, network: str, count: int = MEDIAN_SPAN + 1, at: int | None = None
) -> HeaderChain:
    """The end of the explorer's chain: its tip, or the block `at`, and so many headers in all."""
    found: list[tuple[int, Header]] = []
    while len(found) < count:
        page = await explorer.headers(at)
        for height, header in page:
            _check(explorer, header, height, [one for _, one in found[-1:]], network)
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

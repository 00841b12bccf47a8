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

_PAGE: Final = 10  # headers in one answer of GET /blocks


@dataclass(frozen=True, slots=True)
class Fork:
    """Another chain above the newest block that it shares with ours.

    `ancestor`: the height of that block. `tip_height`, `tip_hash`: of its newest block. `headers`:
    those above the ancestor, linked, from the lowest up; when it goes far beyond our chain only as
    many as outweigh what they replace, or None when they replace nothing.
    """

    ancestor: int
    tip_height: int
    tip_hash: str
    headers: Sequence[Header] | None

    @property
    def work(self) -> int:
        """The work of the headers above the ancestor."""
        return sum(work(header.bits) for header in self.headers or ())


async def find_fork(explorer: Explorer, chain: HeaderChain, most: int, network: str) -> Fork | None:
    """Where the explorer's chain leaves ours, and its headers above: all when at most `most`.

    None when it left below the lowest header that we keep. Raises as the explorer does, and
    Unavailable when its tip is below that header: it is reading the chain anew.
    """
    page = await explorer.headers()
    height, tip = page[0]
    if height < chain.base:
        raise Unavailable(explorer.name, "is far behind: our oldest block is missing", "behind")
    if height - chain.height <= most:
        return await _headers_down_to_ours(explorer, chain, page, network)
    if not may_lie_above(network, (chain.height, chain.tip), page[0], now()):
        raise _easy_error(explorer)
    ancestor = await _find_ancestor(explorer, chain)
    if ancestor is None:
        return None
    if ancestor == chain.height:
        return Fork(ancestor, height, tip.hash, None)
    # As many headers as outweigh ours for sure are fetched, not all up to a distant tip.
    near = min(height, chain.height + max(most, _PAGE, chain.height - ancestor))
    lower_part = await _headers_down_to_ours(explorer, chain, await explorer.headers(near), network)
    if lower_part is None:
        return None
    replaced_work = chain.work_above(lower_part.ancestor)
    headers = _outweighing(lower_part.headers or (), replaced_work)
    return Fork(lower_part.ancestor, height, tip.hash, headers)


async def _headers_down_to_ours(
    explorer: Explorer,
    chain: HeaderChain,
    page: Sequence[tuple[int, Header]],
    network: str,
) -> Fork | None:
    """The fork with all headers from the top of this page down to our chain."""
    height, tip = page[0]
    headers: list[Header] = []  # newest first
    while True:
        for at, header in page:
            _check(explorer, header, at, headers, network)
            if chain.height_of(header.hash) == at:
                return Fork(at, height, tip.hash, list(reversed(headers)))
            headers.append(header)
            if at <= chain.base:
                return None
        page = await explorer.headers(page[-1][0] - 1)


def _outweighing(headers: Sequence[Header], replaced_work: int) -> Sequence[Header]:
    """The lowest headers that have more work together; all when not even those have."""
    for count, header in enumerate(headers, 1):
        replaced_work -= work(header.bits)
        if replaced_work < 0:
            return headers[:count]
    return headers


def _check(
    explorer: Explorer, header: Header, height: int, above: Sequence[Header], network: str
) -> None:
    """Raise unless the header is the parent of the one read before, with enough work."""
    if above and above[-1].prev_hash != header.hash:
        raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
    easy = target(header.bits) > limit_of(network)
    if easy or (above and not may_follow(network, height + 1, header, above[-1])):
        raise _easy_error(explorer)


def _easy_error(explorer: Explorer) -> BadData:
    return BadData(explorer.name, "sent a block with less work than its network asks for", "easy")


async def _find_ancestor(explorer: Explorer, chain: HeaderChain) -> int | None:
    """The height of the newest block of ours that the explorer shows: nearly always our tip."""
    if await explorer.block_hash(chain.height) == chain.tip.hash:
        return chain.height
    if await explorer.block_hash(chain.base) != chain.lowest.hash:
        return None  # before asking for each block in between
    for height in range(chain.height - 1, chain.base - 1, -1):
        header = chain.at(height)
        assert header is not None, "every height between base and tip is kept"
        if await explorer.block_hash(height) == header.hash:
            return height
    return None


async def read_end_of_chain(
    explorer: Explorer, network: str, count: int = MEDIAN_SPAN + 1, at: int | None = None
) -> HeaderChain:
    """The last `count` headers of the explorer's chain up to its tip, or to height `at`.

    Raises as the explorer does.
    """
    rows: list[tuple[int, Header]] = []  # newest first
    while len(rows) < count:
        page = await explorer.headers(at)
        for height, header in page:
            _check(explorer, header, height, [above for _, above in rows[-1:]], network)
            rows.append((height, header))
        if page[-1][0] == 0:
            break
        at = page[-1][0] - 1
    rows.reverse()
    return HeaderChain(rows[0][0], [header for _, header in rows])


async def add_past_headers(explorer: Explorer, chain: HeaderChain) -> HeaderChain:
    """The chain with the headers below that median times need: a record may begin with one tip.

    Each is named by the header above it, so any explorer may give them. The chain stays as it is
    when the explorer shows another one.
    """
    while chain.base > 0 and chain.height - chain.base < MEDIAN_SPAN:
        for _, header in await explorer.headers(chain.base - 1):
            if header.hash != chain.lowest.prev_hash:
                return chain
            chain = chain.rooted(header)
    return chain

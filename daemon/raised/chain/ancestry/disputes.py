"""Explorers that name different blocks at one height, and which of them contradicts itself.

Every block names the one below, so two explorers that share a block must share all blocks below it.
Where they part, the block above tells which one left: at least one of the two is always wrong.
A binary search finds that place: some twenty requests to each, however old the block is.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from raised.chain.ancestry.header_links import HeaderSource, old_headers

# Long enough for an operator to see it in the health, short enough that a repaired explorer is
# not shown as doubtful for hours.
_REMEMBERED_SECONDS: Final = 600.0
_Hashes = tuple[str | None, str | None]  # at one height: the first explorer's, the second's


class Disputes:
    """Which explorers disagreed lately, by name, for their health."""

    def __init__(self) -> None:
        self._until: dict[frozenset[str], float] = {}
        self._guilty: dict[frozenset[str], str] = {}

    def record(self, name: str, other: str, *, agree: bool) -> None:
        """Two explorers named the same block at a height, or not."""
        pair = frozenset((name, other))
        self._guilty.pop(pair, None)
        if agree:
            self._until.pop(pair, None)
        else:
            self._until[pair] = _time() + _REMEMBERED_SECONDS

    def resolve(self, name: str, other: str, guilty: str) -> None:
        """Of two that disagreed, `guilty` contradicts itself."""
        self._guilty[frozenset((name, other))] = guilty

    def opponents_of(self, name: str) -> frozenset[str]:
        """The explorers that disagree with this one."""
        return frozenset(other for pair in self._pairs(name) for other in pair if other != name)

    def is_doubtful(self, name: str) -> bool:
        """Whether an explorer may be the one that is wrong."""
        return any(self._guilty.get(pair, name) == name for pair in self._pairs(name))

    def _pairs(self, name: str) -> list[frozenset[str]]:
        return [pair for pair, until in self._until.items() if name in pair and _time() < until]


async def find_contradicting(
    first: HeaderSource, second: HeaderSource, low: int, above: tuple[int, str]
) -> frozenset[str]:
    """The names of those whose block at height `low` cannot be below the block `above`.

    `above`: height and hash of a block that both show, higher up. Empty when they agree by now.
    Raises as the explorers do; the error's `source` is the explorer that gave no answer.
    """
    high, shared = above
    hashes = await _both_hashes(first, second, low)
    while high - low > 1 and None not in hashes and hashes[0] != hashes[1]:
        middle = (low + high) // 2
        at_middle = await _both_hashes(first, second, middle)
        if at_middle[0] is not None and at_middle[0] == at_middle[1]:
            high, shared = middle, at_middle[0]
        else:
            low, hashes = middle, at_middle
    if None in hashes or hashes[0] == hashes[1]:
        # Who shows a block above must have one here.
        return _names_where(first, second, hashes, lambda block_hash: block_hash is None)
    (_, header), *_ = await old_headers(first, high)
    if header.hash != shared:
        return frozenset({first.name})
    return _names_where(first, second, hashes, lambda block_hash: block_hash != header.prev_hash)


async def _both_hashes(first: HeaderSource, second: HeaderSource, height: int) -> _Hashes:
    return await first.block_hash(height), await second.block_hash(height)


def _names_where(
    first: HeaderSource,
    second: HeaderSource,
    hashes: _Hashes,
    wrong: Callable[[str | None], bool],
) -> frozenset[str]:
    answers = zip((first, second), hashes, strict=True)
    return frozenset(explorer.name for explorer, block_hash in answers if wrong(block_hash))


def _time() -> float:
    return asyncio.get_running_loop().time()

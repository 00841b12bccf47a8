"""Explorers that name different blocks at one height, and which of them contradicts itself.

Every block names the one below, so who shares a block with the other must share all below it. Where
they part, the block above tells who left: one of the two, at least, is never right. What it takes
is some twenty requests to each, however old the block is.
"""

import asyncio
from typing import Final

from raised.chain.strand import ShowsBlocks, old_headers

_REMEMBERED_SECONDS: Final = 600.0


class Disputes:
    """Who said something else than whom lately, by name, for their health."""

    def __init__(self) -> None:
        self._until: dict[frozenset[str], float] = {}
        self._guilty: dict[frozenset[str], str] = {}

    def note(self, one: str, other: str, *, agree: bool) -> None:
        """Two explorers said the same of a block, or not."""
        pair = frozenset((one, other))
        self._guilty.pop(pair, None)
        if agree:
            self._until.pop(pair, None)
        else:
            self._until[pair] = _time() + _REMEMBERED_SECONDS

    def settle(self, one: str, other: str, guilty: str) -> None:
        """One of two that disagreed contradicts itself."""
        self._guilty[frozenset((one, other))] = guilty

    def of(self, name: str) -> frozenset[str]:
        """With whom an explorer disagrees."""
        return frozenset(one for pair in self._pairs(name) for one in pair if one != name)

    def doubtful(self, name: str) -> bool:
        """Whether an explorer may be the one that is wrong."""
        return any(self._guilty.get(pair, name) == name for pair in self._pairs(name))

    def _pairs(self, name: str) -> list[frozenset[str]]:
        return [pair for pair, until in self._until.items() if name in pair and _time() < until]


async def unfaithful(
    reader: ShowsBlocks, witness: ShowsBlocks, low: int, above: tuple[int, str]
) -> frozenset[str]:
    """The names of those whose word on the block at `low` cannot be true.

    `above`: a block both show, higher up. Nobody is named when they say the same by now. Raises as
    the explorers do; the error's `source` is the one that gave no answer.
    """
    both = (reader, witness)
    high, shared = above
    parted = await _words(both, low)
    while not _lacking(parted) and high - low > 1 and len(set(parted.values())) > 1:
        middle = (low + high) // 2
        words = await _words(both, middle)
        if len(set(words.values())) == 1 and not _lacking(words):
            high, shared = middle, next(iter(words.values())) or shared
        else:
            low, parted = middle, words
    if _lacking(parted) or len(set(parted.values())) == 1:
        return _lacking(parted)
    (_, header), *_ = await old_headers(reader, high)
    if header.hash != shared:
        return frozenset({reader.name})
    return frozenset(name for name, word in parted.items() if word != header.prev_hash)


async def _words(both: tuple[ShowsBlocks, ShowsBlocks], height: int) -> dict[str, str | None]:
    return {explorer.name: await explorer.block_hash(height) for explorer in both}


def _lacking(words: dict[str, str | None]) -> frozenset[str]:
    """Who has no block where there must be one: it shows one higher up."""
    return frozenset(name for name, word in words.items() if word is None)


def _time() -> float:
    return asyncio.get_running_loop().time()

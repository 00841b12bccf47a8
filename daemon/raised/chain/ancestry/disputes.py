"""Explorers that name different blocks at one height, and which of them contradicts itself.

Every block names the one below, so who shares a block with the other must share all below it. Where
they part, the block above tells who left: one of the two, at least, is never right. What it takes
is some twenty requests to each, however old the block is.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from raised.chain.ancestry.header_links import HeaderSource, old_headers

_REMEMBERED_SECONDS: Final = 600.0
_Words = tuple[str | None, str | None]  # of the reader, and of the witness


class Disputes:
    """Who said something else than whom lately, by name, for their health."""

    def __init__(self) -> None:
        self._until: dict[frozenset[str], float] = {}
        self._guilty: dict[frozenset[str], str] = {}

    def record(self, one: str, other: str, *, agree: bool) -> None:
        """Two explorers said the same of a block, or not."""
        pair = frozenset((one, other))
        self._guilty.pop(pair, None)
        if agree:
            self._until.pop(pair, None)
        else:
            self._until[pair] = _time() + _REMEMBERED_SECONDS

    def resolve(self, one: str, other: str, guilty: str) -> None:
        """One of two that disagreed contradicts itself."""
        self._guilty[frozenset((one, other))] = guilty

    def opponents_of(self, name: str) -> frozenset[str]:
        """With whom an explorer disagrees."""
        return frozenset(one for pair in self._pairs(name) for one in pair if one != name)

    def is_doubtful(self, name: str) -> bool:
        """Whether an explorer may be the one that is wrong."""
        return any(self._guilty.get(pair, name) == name for pair in self._pairs(name))

    def _pairs(self, name: str) -> list[frozenset[str]]:
        return [pair for pair, until in self._until.items() if name in pair and _time() < until]


async def find_contradicting(
    reader: HeaderSource, witness: HeaderSource, low: int, above: tuple[int, str]
) -> frozenset[str]:
    """The names of those whose word on the block at `low` cannot be true.

    `above`: a block both show, higher up. Nobody is named when they say the same by now. Raises as
    the explorers do; the error's `source` is the one that gave no answer.
    """
    high, shared = above
    said = await _words(reader, witness, low)
    while high - low > 1 and None not in said and said[0] != said[1]:
        middle = (low + high) // 2
        words = await _words(reader, witness, middle)
        if words[0] is not None and words[0] == words[1]:
            high, shared = middle, words[0]
        else:
            low, said = middle, words
    if None in said or said[0] == said[1]:
        return _named(reader, witness, said, lambda word: word is None)  # there is one above it
    (_, header), *_ = await old_headers(reader, high)
    if header.hash != shared:
        return frozenset({reader.name})
    return _named(reader, witness, said, lambda word: word != header.prev_hash)


async def _words(reader: HeaderSource, witness: HeaderSource, height: int) -> _Words:
    return await reader.block_hash(height), await witness.block_hash(height)


def _named(
    reader: HeaderSource, witness: HeaderSource, said: _Words, wrong: Callable[[str | None], bool]
) -> frozenset[str]:
    """Those of the two who said something wrong."""
    return frozenset(
        one.name for one, word in zip((reader, witness), said, strict=True) if wrong(word)
    )


def _time() -> float:
    return asyncio.get_running_loop().time()

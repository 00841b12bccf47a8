"""Blocks of our chain below what we follow of it, each named by the one above."""

from collections.abc import Sequence
from math import ceil
from typing import Final, Protocol

from raised.domain.bitcoin.block import Header
from raised.errors import BadData

FOREIGN: Final = "foreign_block"
_PAGE: Final = 10  # headers an explorer gives at once


class HeaderSource(Protocol):
    """An explorer, as far as its chain of blocks goes; see raised.chain.explorer.api."""

    @property
    def name(self) -> str:
        """Its address, as configured."""
        ...

    async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
        """A page of linked headers, newest first."""
        ...

    async def block_hash(self, height: int) -> str | None:
        """The hash of the block at this height of its best chain."""
        ...


async def old_headers(explorer: HeaderSource, height: int) -> Sequence[tuple[int, Header]]:
    """A page of headers from this height downwards, so old that none moves while they are read.

    Raises as the explorer does.
    """
    try:
        return await explorer.headers(height)
    except BadData as error:
        raise BadData(explorer.name, error.detail, FOREIGN) from error


class HeaderLink:
    """The hashes of linked blocks by height, from `top` downwards, in 32 bytes each."""

    def __init__(self, top: int, block_hash: str) -> None:
        self.top = top
        self._hashes = bytearray.fromhex(block_hash)

    @property
    def bottom(self) -> int:
        """The lowest height."""
        return self.top + 1 - len(self._hashes) // 32

    def at(self, height: int) -> str | None:
        """The hash of the block at this height, if it is on the strand."""
        if not self.bottom <= height <= self.top:
            return None
        at = 32 * (self.top - height)
        return self._hashes[at : at + 32].hex()

    def pages_to(self, height: int) -> int:
        """How many requests it takes to know the block at this height."""
        return ceil(max(0, self.bottom - height) / _PAGE)

    async def descend(self, explorer: HeaderSource) -> None:
        """Read one page more. Raises as the explorer does, and BadData when it does not link."""
        page = await old_headers(explorer, self.bottom)
        if page[0][1].hash != self.at(self.bottom):
            raise BadData(explorer.name, "shows old blocks that are not below ours", FOREIGN)
        self._grow([header for height, header in page if height > 0])

    def _grow(self, headers: Sequence[Header]) -> None:
        for header in headers:
            self._hashes += bytes.fromhex(header.prev_hash)

    def join(self, other: "HeaderLink") -> None:
        """Take over what the other has below, once both hold the same block."""
        met = self.bottom
        if other.bottom < met and other.at(met) == self.at(met):
            self._hashes += other._hashes[32 * (other.top - met + 1) :]  # noqa: SLF001


class HeaderLinks:
    """What is known below the followed chain, and below the pinned block of the network.

    Heights are asked for that are below the followed chain: there is a strand above each.
    """

    def __init__(self, pin: tuple[int, str] | None) -> None:
        self._pinned = [HeaderLink(*pin)] if pin is not None else []
        self._current: list[HeaderLink] = []
        self._former: HeaderLink | None = None

    def root(self, height: int, block_hash: str) -> None:
        """This block is known now: what hangs on it is below our chain."""
        for strand in self._current:
            if strand.at(height) == block_hash:
                return
            # Not known to be below the new root before a walk down from there has met it.
            if self._former is None or strand.bottom < self._former.bottom:
                self._former = strand
        self._current = [HeaderLink(height, block_hash)]
        self._join()

    def at(self, height: int) -> str | None:
        """The hash of our chain's block at this height, if it is linked to what we know."""
        found = (strand.at(height) for strand in self._known)
        return next((block_hash for block_hash in found if block_hash is not None), None)

    def above(self, height: int) -> tuple[int, str]:
        """The lowest block we know above this height."""
        strand = self._nearest(height)
        lowest = strand.at(strand.bottom)
        assert lowest is not None, "a strand holds its bottom"
        return strand.bottom, lowest

    def pages_to(self, height: int) -> int:
        """How many requests it takes to know this block."""
        return self._nearest(height).pages_to(height)

    async def descend(self, explorer: HeaderSource, height: int) -> bool:
        """Read one page more on the way down to this height; True when it is reached.

        Raises as the explorer does, and BadData when its blocks are not below ours.
        """
        strand = self._nearest(height)
        if strand.bottom <= height:
            return True
        await strand.descend(explorer)
        self._join()
        return strand.bottom <= height

    @property
    def _known(self) -> list[HeaderLink]:
        return [*self._current, *self._pinned]

    def _nearest(self, height: int) -> HeaderLink:
        able = [strand for strand in self._known if strand.top >= height]
        return min(able, key=lambda strand: strand.pages_to(height))

    def _join(self) -> None:
        for strand in self._current:
            if self._former is not None:
                strand.join(self._former)

"""Hashes of our chain below the headers we follow, each named by the block above it."""

from collections.abc import Sequence
from math import ceil
from typing import Final, Protocol

from raised.domain.bitcoin.block import Header
from raised.errors import BadData

FOREIGN_BLOCK: Final = "foreign_block"  # an error code
_PAGE: Final = 10  # headers in one answer of GET /blocks/:height


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
    """A page of headers from this height downwards, below any reorg.

    Raises as the explorer does; a page that does not link is another chain, and never a reorg.
    """
    try:
        return await explorer.headers(height)
    except BadData as error:
        raise BadData(explorer.name, error.detail, FOREIGN_BLOCK) from error


class HeaderLink:
    """The hashes of linked blocks, from height `top` downwards, in 32 bytes each."""

    def __init__(self, top: int, block_hash: str) -> None:
        self.top = top
        self._hashes = bytearray.fromhex(block_hash)

    @property
    def bottom(self) -> int:
        """The lowest height."""
        return self.top + 1 - len(self._hashes) // 32

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at this height, if it is part of this link."""
        if not self.bottom <= height <= self.top:
            return None
        offset = 32 * (self.top - height)
        return self._hashes[offset : offset + 32].hex()

    def pages_to(self, height: int) -> int:
        """How many requests it takes to know the block at this height."""
        return ceil(max(0, self.bottom - height) / _PAGE)

    async def descend(self, explorer: HeaderSource) -> None:
        """Read one page more. Raises as the explorer does, and BadData when it does not link."""
        page = await old_headers(explorer, self.bottom)
        if page[0][1].hash != self.hash_at(self.bottom):
            raise BadData(explorer.name, "shows old blocks that are not below ours", FOREIGN_BLOCK)
        self._append([header for height, header in page if height > 0])

    def _append(self, headers: Sequence[Header]) -> None:
        for header in headers:
            self._hashes += bytes.fromhex(header.prev_hash)

    def join(self, other: "HeaderLink") -> None:
        """Take over what the other link has below, once both contain the same block."""
        bottom = self.bottom
        if other.bottom < bottom and other.hash_at(bottom) == self.hash_at(bottom):
            self._hashes += other._hashes[32 * (other.top - bottom + 1) :]  # noqa: SLF001


class HeaderLinks:
    """The links below the followed chain, and below the pinned block of the network.

    All heights are below the followed chain, so there is a link that begins above each.
    """

    def __init__(self, pin: tuple[int, str] | None) -> None:
        self._pinned = [HeaderLink(*pin)] if pin is not None else []
        self._current: list[HeaderLink] = []
        self._previous: HeaderLink | None = None

    def set_root(self, height: int, block_hash: str) -> None:
        """This block is the parent of the lowest header that is followed."""
        for link in self._current:
            if link.hash_at(height) == block_hash:
                return
            # It may be of a chain that was left, so it joins only once headers from the new root
            # meet it.
            if self._previous is None or link.bottom < self._previous.bottom:
                self._previous = link
        self._current = [HeaderLink(height, block_hash)]
        self._join()

    def hash_at(self, height: int) -> str | None:
        """The hash of our chain's block at this height, if it is linked to what we know."""
        hashes = (link.hash_at(height) for link in self._known)
        return next((block_hash for block_hash in hashes if block_hash is not None), None)

    def above(self, height: int) -> tuple[int, str]:
        """The lowest block we know above this height: its height and hash."""
        link = self._nearest(height)
        lowest = link.hash_at(link.bottom)
        assert lowest is not None, "a link contains its bottom"
        return link.bottom, lowest

    def pages_to(self, height: int) -> int:
        """How many requests it takes to know this block."""
        return self._nearest(height).pages_to(height)

    async def descend(self, explorer: HeaderSource, height: int) -> bool:
        """Read one page more on the way down to this height; True when it is reached.

        Raises as the explorer does, and BadData when its blocks are not below ours.
        """
        link = self._nearest(height)
        if link.bottom <= height:
            return True
        await link.descend(explorer)
        self._join()
        return link.bottom <= height

    @property
    def _known(self) -> list[HeaderLink]:
        return [*self._current, *self._pinned]

    def _nearest(self, height: int) -> HeaderLink:
        links = [link for link in self._known if link.top >= height]
        return min(links, key=lambda link: link.pages_to(height))

    def _join(self) -> None:
        for link in self._current:
            if self._previous is not None:
                link.join(self._previous)

"""The newest headers of the best chain, linked, by height; and their median times."""

from collections.abc import Sequence
from typing import Final

from raised.domain.bitcoin.block import Header, work
from raised.domain.observation import BlockRef

MEDIAN_SPAN: Final = 11  # headers of one median time past (BIP113)


class HeaderChain:
    """Linked headers from `base` up to the tip."""

    def __init__(self, base: int, headers: Sequence[Header]) -> None:
        self.base = base
        self._headers = list(headers)
        self._heights = {header.hash: base + n for n, header in enumerate(headers)}

    @property
    def height(self) -> int:
        """The height of the tip."""
        return self.base + len(self._headers) - 1

    @property
    def tip(self) -> Header:
        """The newest header."""
        return self._headers[-1]

    @property
    def lowest(self) -> Header:
        """The header at `base`."""
        return self._headers[0]

    def at(self, height: int) -> Header | None:
        """The header at this height, if it is kept."""
        place = height - self.base
        return self._headers[place] if 0 <= place < len(self._headers) else None

    def height_of(self, block_hash: str) -> int | None:
        """The height of a block, if its header is kept."""
        return self._heights.get(block_hash)

    def grown(self, header: Header, keep: int) -> "HeaderChain":
        """The same chain with a header on top, and no more than `keep` in all."""
        assert header.prev_hash == self.tip.hash, "only a child of the tip is put on top"
        headers = [*self._headers, header][-keep:]
        return HeaderChain(self.height + 2 - len(headers), headers)

    def rooted(self, parent: Header) -> "HeaderChain":
        """The same chain with the parent of its lowest header below."""
        assert parent.hash == self.lowest.prev_hash, "only the parent of the lowest is put below"
        return HeaderChain(self.base - 1, [parent, *self._headers])

    def cut(self, height: int) -> "HeaderChain":
        """The same chain without what is above this height."""
        return HeaderChain(self.base, self._headers[: height - self.base + 1])

    def work_above(self, height: int) -> int:
        """The work in the blocks above this height."""
        return sum(work(header.bits) for header in self._headers[max(0, height - self.base + 1) :])

    def ref(self, height: int) -> BlockRef:
        """The block at this height; its median times where enough headers below are kept."""
        header = self._headers[height - self.base]
        return BlockRef(
            height=height,
            hash=header.hash,
            prev_hash=header.prev_hash,
            time=header.time,
            header=header.serialize(),
            median_time=self._median(height),
            prior_median_time=self._median(height - 1),
        )

    def _median(self, height: int) -> int | None:
        """The median time past of a block: of itself and the ten before it. Source: BIP113."""
        first = max(0, height - MEDIAN_SPAN + 1)
        if height < 0 or first < self.base:
            return None
        times = sorted(h.time for h in self._headers[first - self.base : height - self.base + 1])
        return times[len(times) // 2]


def ref_without_medians(height: int, header: Header) -> BlockRef:
    """A block around which no headers are known, so without its median times."""
    return BlockRef(height, header.hash, header.prev_hash, header.time, header.serialize())

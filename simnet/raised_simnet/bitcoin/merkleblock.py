"""BIP37's merkleblock message for one transaction. Source: BIP37, partial merkle branch format."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raised.domain.bitcoin.block import Block
from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.tx import compact_size, raw_from_hex


@dataclass(slots=True)
class _Tree:
    """The depth-first walk down to the leaf at `position`, noting hashes and flags as it goes."""

    levels: list[list[bytes]]
    position: int
    hashes: list[bytes] = field(default_factory=list[bytes])
    flags: list[bool] = field(default_factory=list[bool])

    def walk(self, level: int, at: int) -> None:
        """Note the node at (level, at), and what is below it when the leaf is."""
        on_path = self.position >> level == at
        self.flags.append(on_path)
        if level == 0 or not on_path:
            self.hashes.append(self.levels[level][at])
            return
        self.walk(level - 1, 2 * at)
        if 2 * at + 1 < len(self.levels[level - 1]):
            self.walk(level - 1, 2 * at + 1)


def merkleblock(block: Block, position: int) -> bytes:
    """Header, count, and the branch of the transaction at this position."""
    levels = _levels([raw_from_hex(tx.txid) for tx in block.txs])
    tree = _Tree(levels, position)
    tree.walk(len(levels) - 1, 0)
    return b"".join(
        (
            block.header.serialize(),
            len(block.txs).to_bytes(4, "little"),
            compact_size(len(tree.hashes)),
            *tree.hashes,
            _flag_bytes(tree.flags),
        )
    )


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        even = [*below, below[-1]] if len(below) % 2 else below
        levels.append([sha256d(even[n] + even[n + 1]) for n in range(0, len(even), 2)])
    return levels


def _flag_bytes(flags: Sequence[bool]) -> bytes:
    size = (len(flags) + 7) // 8
    value = sum(flag << place for place, flag in enumerate(flags))
    return compact_size(size) + value.to_bytes(size, "little")

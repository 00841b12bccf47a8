"""Blocks: header, proof of work, merkle root and witness commitment."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.tx import Tx, hex_from_raw, parse_tx_at, raw_from_hex, read_count
from raised.errors import InvalidInput

HEADER_SIZE: Final = 80
_COMMITMENT: Final = bytes.fromhex("6a24aa21a9ed")
_MAX_MERKLE_DEPTH: Final = 24  # no block holds 2**24 transactions


@dataclass(frozen=True)
class Header:
    """The 80 bytes that the proof of work is about. `time` in unix seconds."""

    version: int
    prev_hash: str
    merkle_root: str
    time: int
    bits: int
    nonce: int

    @cached_property
    def hash(self) -> str:
        """The block hash, display order."""
        return hex_from_raw(sha256d(self.serialize()))

    def serialize(self) -> bytes:
        """80 bytes."""
        numbers = (self.time, self.bits, self.nonce)
        return (
            self.version.to_bytes(4, "little")
            + raw_from_hex(self.prev_hash)
            + raw_from_hex(self.merkle_root)
            + b"".join(value.to_bytes(4, "little") for value in numbers)
        )


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, coinbase first."""

    header: Header
    txs: tuple[Tx, ...]


def parse_header(raw: bytes) -> Header:
    """The header in exactly 80 bytes. Raises InvalidInput."""
    if len(raw) != HEADER_SIZE:
        raise InvalidInput("a header has 80 bytes")
    return Header(
        version=int.from_bytes(raw[0:4], "little"),
        prev_hash=hex_from_raw(raw[4:36]),
        merkle_root=hex_from_raw(raw[36:68]),
        time=int.from_bytes(raw[68:72], "little"),
        bits=int.from_bytes(raw[72:76], "little"),
        nonce=int.from_bytes(raw[76:80], "little"),
    )


def target(bits: int) -> int:
    """The number a block hash must not exceed. Raises InvalidInput for a target <= 0."""
    exponent, mantissa = bits >> 24, bits & 0x007FFFFF
    value = mantissa << (8 * (exponent - 3)) if exponent > 3 else mantissa >> (8 * (3 - exponent))
    if bits & 0x00800000 or value == 0 or value >= 1 << 256:
        raise InvalidInput("bits that are no target")
    return value


def work(bits: int) -> int:
    """The expected number of hashes behind a block of this difficulty."""
    return (1 << 256) // (target(bits) + 1)


def meets_target(header: Header) -> bool:
    """Whether the hash is as small as its own bits demand; whether those are right is not asked."""
    try:
        return int(header.hash, 16) <= target(header.bits)
    except InvalidInput:
        return False


def parse_block(raw: bytes) -> Block:
    """The block in these bytes, all of them; see check_block. Raises InvalidInput."""
    header = parse_header(raw[:HEADER_SIZE])
    try:
        count, at = read_count(raw, HEADER_SIZE, 60)
    except IndexError as error:
        raise InvalidInput("the block is cut off") from error
    if count == 0:
        raise InvalidInput("a block without transactions")
    txs: list[Tx] = []
    for _ in range(count):
        tx, at = parse_tx_at(raw, at)
        txs.append(tx)
    if at != len(raw):
        raise InvalidInput("bytes behind the block")
    return Block(header, tuple(txs))


def check_block(block: Block) -> None:
    """Raise InvalidInput unless header, transactions and witnesses prove one another.

    Proof of work by the header's own bits, merkle root, no repeated tail (CVE-2012-2459), and the
    witness commitment when any witness is there (BIP141). Transactions of 64 bytes are consensus:
    inner nodes of a tree cannot pass for the whole list, since its first must be a coinbase, as
    Bitcoin Core's `IsBlockMutated` has it. Merkle proofs of single ones are another matter.
    """
    if not meets_target(block.header):
        raise InvalidInput("the block hash does not meet its target")
    if not block.txs[0].is_coinbase:
        raise InvalidInput("the first transaction is no coinbase")
    levels = merkle_levels([raw_from_hex(tx.txid) for tx in block.txs])
    if has_repeated_tail(levels):
        raise InvalidInput("the transaction list repeats its tail")
    if hex_from_raw(levels[-1][0]) != block.header.merkle_root:
        raise InvalidInput("the transactions are not those of the header")
    _check_witnesses(block)


def _check_witnesses(block: Block) -> None:
    coinbase = block.txs[0]
    scripts = [output.script_pubkey for output in coinbase.outputs]
    committed = [s[6:38] for s in scripts if s.startswith(_COMMITMENT) and len(s) >= 38]
    # A commitment without witnesses is no block either: somebody left them all out.
    if not committed and not any(tx.has_witness for tx in block.txs):
        return
    reserved = coinbase.inputs[0].witness
    if not committed or len(reserved) != 1 or len(reserved[0]) != 32:
        raise InvalidInput("witnesses without a commitment to them")
    leaves = [bytes(32), *(raw_from_hex(tx.wtxid) for tx in block.txs[1:])]
    if sha256d(merkle_root(leaves) + reserved[0]) != committed[-1]:
        raise InvalidInput("the witnesses are not those the coinbase commits to")


def merkle_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Every level of the tree over 32-byte hashes in raw order, the leaves first, the root last.

    An odd last one is paired with itself, and stands once in its level.
    """
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        level = levels[-1]
        even = level if len(level) % 2 == 0 else [*level, level[-1]]
        nodes = iter(even)
        levels.append([sha256d(left + right) for left, right in zip(nodes, nodes, strict=True)])
    return levels


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over 32-byte hashes in raw order."""
    return merkle_levels(leaves)[-1][0]


def has_repeated_tail(levels: Sequence[Sequence[bytes]]) -> bool:
    """Whether equal hashes are paired on some level, so that another list has the same root.

    Source: CVE-2012-2459.
    """
    return any(
        left == right
        for level in levels
        for left, right in zip(level[::2], level[1::2], strict=False)
    )


def merkle_branch(levels: Sequence[Sequence[bytes]], position: int) -> list[bytes]:
    """The siblings from the leaf at `position` up to the root, raw order."""
    branch: list[bytes] = []
    for level in levels[:-1]:
        branch.append(level[min(position ^ 1, len(level) - 1)])
        position >>= 1
    return branch


def fold_merkle_proof(txid: str, siblings: Sequence[str], position: int) -> str:
    """The root that a txid and its siblings (display order, from the leaf up) lead to.

    Raises InvalidInput when the position does not fit the branch or the branch is absurdly long.
    Source: docs/chain-api.md 14.
    """
    if len(siblings) > _MAX_MERKLE_DEPTH or position >> len(siblings):
        raise InvalidInput("a merkle branch of the wrong length")
    node = raw_from_hex(txid)
    for sibling in siblings:
        other = raw_from_hex(sibling)
        if len(other) != 32:
            raise InvalidInput("a merkle sibling that is no hash")
        node = sha256d(other + node) if position & 1 else sha256d(node + other)
        position >>= 1
    return hex_from_raw(node)

"""Merkle proofs: reading one from BIP37's merkleblock message, and checking what a branch proves.

A branch does not say how deep its tree is, and an inner node is 64 bytes long, as a transaction can
be. So a node can be passed off as a transaction, and a transaction of 64 bytes as two leaves below
it (CVE-2017-12842). Source: docs/chain-api.md 14.
"""

from dataclasses import dataclass, field
from typing import Final

from raised.chain.explorer.api import Proof
from raised.domain.bitcoin.block import HEADER_SIZE, parse_header
from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.tx import Tx, Txid, hex_from_raw, parse_tx, raw_from_hex, read_count
from raised.errors import InvalidInput

_NODE_SIZE: Final = 64
_MAX_DEPTH: Final = 15  # 4 million weight units hold 16,666 of the smallest transactions
_MAX_TXS: Final = 1 << 17  # no block holds that many


@dataclass(slots=True)
class _Tree:
    """The depth-first walk over a partial tree; `hashes` and `flags` are used up as it goes.

    `node` is the hash of the path so far, from the `leaf` that matches upwards.
    """

    count: int
    hashes: list[bytes]
    flags: list[bool]
    siblings: list[bytes] = field(default_factory=list[bytes])
    leaf: bytes | None = None
    position: int = 0
    node: bytes = b""


def proof_from_merkleblock(raw: bytes, txid: Txid) -> Proof:
    """The proof for one transaction out of a merkleblock that matches exactly that one.

    Raises InvalidInput when it is malformed, proves another transaction, or does not lead to the
    root of its own header. Source: BIP37, partial merkle branch format.
    """
    try:
        header = parse_header(raw[:HEADER_SIZE])
        tree = _read_tree(raw)
    except IndexError as error:
        raise InvalidInput("the merkleblock is cut off") from error
    _walk(tree, _height(tree.count), 0)
    if tree.hashes or tree.leaf is None or hex_from_raw(tree.leaf) != txid:
        raise InvalidInput("the merkleblock proves something else")
    if hex_from_raw(tree.node) != header.merkle_root:
        raise InvalidInput("the branch does not lead to the header's root")
    return Proof(header, tree.position, tuple(map(hex_from_raw, tree.siblings)))


def _read_tree(raw: bytes) -> _Tree:
    count = int.from_bytes(raw[HEADER_SIZE : HEADER_SIZE + 4], "little")
    if not 0 < count <= _MAX_TXS:
        raise InvalidInput("a merkleblock of an impossible size")
    hash_count, at = read_count(raw, HEADER_SIZE + 4, 32)
    hashes = [raw[at + 32 * n : at + 32 * (n + 1)] for n in range(hash_count)]
    flag_bytes, at = read_count(raw, at + 32 * hash_count, 1)
    flags = [bool(byte >> bit & 1) for byte in raw[at : at + flag_bytes] for bit in range(8)]
    if at + flag_bytes != len(raw):
        raise InvalidInput("bytes behind the merkleblock")
    hashes.reverse()
    flags.reverse()
    return _Tree(count, hashes, flags)


def _height(count: int) -> int:
    return (count - 1).bit_length()


def _width(tree: _Tree, level: int) -> int:
    return (tree.count + (1 << level) - 1) >> level


def _walk(tree: _Tree, level: int, position: int) -> bytes | None:
    """Read the node at (level, position). Its hash, or None when the match lies below it."""
    if not tree.flags:
        raise InvalidInput("the merkleblock has too few flags")
    on_path = tree.flags.pop()
    if on_path and level > 0:
        _walk_below(tree, level, position)
        return None
    if not tree.hashes:
        raise InvalidInput("the merkleblock has too few hashes")
    node = tree.hashes.pop()
    if not on_path:
        return node
    if tree.leaf is not None:
        raise InvalidInput("the merkleblock matches more than one transaction")
    tree.leaf, tree.position, tree.node = node, position, node
    return None


def _walk_below(tree: _Tree, level: int, position: int) -> None:
    """Read both children of a node on the path, and climb from the one the path goes through."""
    left = _walk(tree, level - 1, 2 * position)
    if 2 * position + 1 >= _width(tree, level - 1):
        right = tree.node if left is None else None  # an odd last node is paired with itself
    else:
        right = _walk(tree, level - 1, 2 * position + 1)
        if right is not None and right == (tree.node if left is None else left):
            raise InvalidInput("the merkleblock repeats a node (CVE-2012-2459)")
    if (left is None) == (right is None):
        raise InvalidInput("the merkleblock marks a path that leads nowhere, or two")
    sibling = left if right is None else right
    assert sibling is not None, "one of the two is on the path, the other is not"
    tree.siblings.append(sibling)
    tree.node = sha256d(tree.node + sibling if left is None else sibling + tree.node)


def check_inclusion(tx: Tx, proof: Proof) -> None:
    """Raise InvalidInput when the folded proof could be of something else than this transaction."""
    if len(tx.serialize(witness=False)) == _NODE_SIZE:
        raise InvalidInput("a transaction as long as a node of the tree")
    if len(proof.siblings) > _MAX_DEPTH:
        raise InvalidInput("a branch longer than any block has")
    if proof.position < 0 or proof.position >> len(proof.siblings):
        raise InvalidInput("a position outside the tree of this branch")
    _check_path(raw_from_hex(tx.txid), proof)


def _check_path(node: bytes, proof: Proof) -> None:
    position = proof.position
    for sibling in map(raw_from_hex, proof.siblings):
        if position & 1 and sibling == node:
            raise InvalidInput("a position behind the end of the block (CVE-2012-2459)")
        pair = sibling + node if position & 1 else node + sibling
        # Of nodes that are hashes, one in 2**35 or fewer reads as a transaction.
        if _reads_as_tx(pair):
            raise InvalidInput("a branch through a transaction")
        node, position = sha256d(pair), position >> 1


def _reads_as_tx(raw: bytes) -> bool:
    try:
        return not parse_tx(raw).has_witness
    except InvalidInput:
        return False

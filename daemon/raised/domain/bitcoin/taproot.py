"""Taproot trees (BIP341), merged in the order of the .NET priority queue that Angor uses.

A tree is a list of merges over numbered nodes: the leaves are 0, 1, 2…, and every merge makes the
next number. It depends on the weights alone, so one list serves every output of that many leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.curve import xonly_add
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.script import is_p2tr
from raised.domain.bitcoin.tx import varbytes
from raised.errors import InvalidInput

LEAF_VERSION: Final = 0xC0
ANNEX_PREFIX: Final = 0x50
MAX_DEPTH: Final = 128
_HEAP_ARITY: Final = 4
_SIGNATURE_SIZES: Final = (64, 65)

Merges = tuple[tuple[int, int], ...]
Node = tuple[int, int]


def leaf_hash(script: bytes, version: int = LEAF_VERSION) -> bytes:
    """The hash that stands for a script in a tree."""
    return tagged("TapLeaf", bytes([version]) + varbytes(script))


def branch(left: bytes, right: bytes) -> bytes:
    """The hash over two nodes, whatever their order."""
    return tagged("TapBranch", left + right if left < right else right + left)


def climb(node: bytes, path: Sequence[bytes]) -> bytes:
    """The merkle root above a node, its siblings given from the bottom up."""
    for sibling in path:
        node = branch(node, sibling)
    return node


def output_key(internal_key: bytes, root: bytes = b"") -> tuple[bytes, int]:
    """The output key of an internal key and a merkle root, and the parity of its y.

    Without a root it is the key path alone (BIP86): so Angor tweaks the keys in its leaves.
    Raises InvalidInput when the internal key is no x coordinate.
    """
    return xonly_add(internal_key, tagged("TapTweak", internal_key + root))


@dataclass(frozen=True, slots=True)
class Tree:
    """A merkle tree of leaf hashes: every node in the order of its number, the root last."""

    nodes: tuple[bytes, ...]
    merges: Merges

    @property
    def root(self) -> bytes:
        """The merkle root."""
        return self.nodes[-1]

    def path(self, leaf: int) -> tuple[bytes, ...]:
        """The siblings of a leaf from the bottom up, as a control block lists them."""
        siblings: list[bytes] = []
        leaves = len(self.nodes) - len(self.merges)
        at = leaf
        for number, (left, right) in enumerate(self.merges, start=leaves):
            if at in (left, right):
                siblings.append(self.nodes[right if at == left else left])
                at = number
        return tuple(siblings)


def grow(leaf_hashes: Sequence[bytes], merges: Merges) -> Tree:
    """The tree that these merges make of these leaves."""
    nodes = list(leaf_hashes)
    for left, right in merges:
        nodes.append(branch(nodes[left], nodes[right]))
    return Tree(tuple(nodes), merges)


def huffman(weights: Sequence[int]) -> Merges:
    """The merges of a Huffman tree whose ties fall as in .NET's PriorityQueue.

    That queue is a heap of four children a node and not stable: neither insertion order nor
    `heapq` gives the same trees once leaves have equal weights. Source: docs/angor.md 8.6.
    """
    heap: list[Node] = []
    for number, weight in enumerate(weights):
        _enqueue(heap, (weight, number))
    merges: list[tuple[int, int]] = []
    while len(heap) > 1:
        left, right = _dequeue(heap), _dequeue(heap)
        _enqueue(heap, (left[0] + right[0], len(weights) + len(merges)))
        merges.append((left[1], right[1]))
    return tuple(merges)


def _enqueue(heap: list[Node], node: Node) -> None:
    at = len(heap)
    heap.append(node)
    while at > 0:
        parent = (at - 1) // _HEAP_ARITY
        if node[0] >= heap[parent][0]:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = node


def _dequeue(heap: list[Node]) -> Node:
    top, last = heap[0], heap.pop()
    if not heap:
        return top
    at, size = 0, len(heap)
    while (first := _HEAP_ARITY * at + 1) < size:
        # min() keeps the first of equal children, as the queue does.
        child = min(range(first, min(first + _HEAP_ARITY, size)), key=lambda index: heap[index][0])
        if last[0] <= heap[child][0]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = last
    return top


def control_block(internal_key: bytes, parity: int, path: Sequence[bytes]) -> bytes:
    """What a witness shows beside a script to prove that it belongs to the output."""
    return bytes([LEAF_VERSION | parity]) + internal_key + b"".join(path)


@dataclass(frozen=True, slots=True)
class RevealedLeaf:
    """A script that a witness revealed, and that the spent output commits to."""

    script: bytes
    stack: tuple[bytes, ...]
    control_block: bytes
    annex: bytes | None

    @property
    def hash(self) -> bytes:
        """Its leaf hash, as signatures cover it."""
        return leaf_hash(self.script, self.control_block[0] & 0xFE)


def split_annex(witness: Sequence[bytes]) -> tuple[tuple[bytes, ...], bytes | None]:
    """The witness without its annex, and the annex. Source: BIP341, script validation rules."""
    if len(witness) > 1 and witness[-1][:1] == bytes([ANNEX_PREFIX]):
        return tuple(witness[:-1]), witness[-1]
    return tuple(witness), None


def revealed_leaf(witness: Sequence[bytes], program: bytes) -> RevealedLeaf | None:
    """The leaf a spend of the taproot output with this program revealed; None for a key path.

    Raises InvalidInput when no node would accept the witness for this output, whatever its
    signatures: then whoever handed it over made it up.
    """
    stack, annex = split_annex(witness)
    if len(stack) == 1 and len(stack[0]) in _SIGNATURE_SIZES:
        return None
    if len(stack) < 2:
        raise InvalidInput("no witness for a taproot output")
    leaf = RevealedLeaf(stack[-2], stack[:-2], stack[-1], annex)
    if _committed_key(leaf) != (program, leaf.control_block[0] & 1):
        raise InvalidInput("the output does not commit to the revealed script")
    return leaf


def _committed_key(leaf: RevealedLeaf) -> tuple[bytes, int]:
    control = leaf.control_block
    if len(control) < 33 or (len(control) - 33) % 32 or len(control) > 33 + 32 * MAX_DEPTH:
        raise InvalidInput("no control block has this size")
    path = [control[at : at + 32] for at in range(33, len(control), 32)]
    return output_key(control[1:33], climb(leaf.hash, path))


def program_of(script_pubkey: bytes) -> bytes:
    """The output key of a taproot script_pubkey. Raises InvalidInput for any other script."""
    if not is_p2tr(script_pubkey):
        raise InvalidInput("not a taproot output")
    return script_pubkey[2:]

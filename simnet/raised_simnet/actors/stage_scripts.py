"""Stage outputs as investors build them: leaves, tree, key. Source: docs/angor.md 8, 10.3."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from raised.domain.bitcoin.curve import xonly_add
from raised.domain.bitcoin.hashes import sha256, sha256d, tagged
from raised.domain.bitcoin.script import (
    OP_CHECKLOCKTIMEVERIFY,
    OP_CHECKSEQUENCEVERIFY,
    OP_CHECKSIG,
    OP_CHECKSIGVERIFY,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH256,
    number,
    p2tr,
    push,
)
from raised.domain.bitcoin.tx import varbytes

INTERNAL_KEY: Final = sha256(b"Angor Unspendable Taproot Key")
_LEAF_VERSION: Final = 0xC0
_FOUNDER_WEIGHT, _RECOVER_WEIGHT, _END_WEIGHT, _SEEDER_WEIGHT = 70, 40, 1, 10
_SECONDS_UNIT: Final = 512
_SECONDS_FLAG: Final = 1 << 22
_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class StageScripts:
    """A locked output: its scripts (founder, recover, end, seeders…) and how each is revealed."""

    scripts: tuple[bytes, ...]
    control_blocks: tuple[bytes, ...]
    leaf_hashes: tuple[bytes, ...]
    root: bytes
    output_key: bytes

    @property
    def script_pubkey(self) -> bytes:
        """The output's script."""
        return p2tr(self.output_key)


FOUNDER, RECOVER, END, FIRST_SEEDER = 0, 1, 2, 3


def leaf_key(public: bytes) -> bytes:
    """A compressed key as it stands in leaves: tweaked as BIP86 does."""
    key, _ = xonly_add(public[1:], tagged("TapTweak", public[1:]))
    return key


def founder_leaf(founder_key: bytes, release_at: int) -> bytes:
    """The founder may claim from the release date on."""
    return _signed_after(founder_key, release_at)


def end_leaf(investor_key: bytes, expiry_at: int) -> bytes:
    """The investor may take back what is left at the end."""
    return _signed_after(investor_key, expiry_at)


def recover_leaf(recovery_key: bytes, investor_key: bytes, secret_hash: bytes | None) -> bytes:
    """Investor and founder together; a seeder reveals the secret while leaving."""
    both = _key(recovery_key) + bytes([OP_CHECKSIGVERIFY]) + _key(investor_key)
    if secret_hash is None:
        return both + bytes([OP_CHECKSIG])
    tail = bytes([OP_HASH256]) + push(secret_hash) + bytes([OP_EQUAL])
    return both + bytes([OP_CHECKSIGVERIFY]) + tail


def seeder_leaves(
    investor_key: bytes, threshold: int, secret_hashes: Sequence[bytes]
) -> tuple[bytes, ...]:
    """One leaf for each set of secrets that frees the investor. The hashes are in wire order."""
    if not 1 <= threshold <= len(secret_hashes):
        return ()
    tail = _key(investor_key) + bytes([OP_CHECKSIG])
    return tuple(
        b"".join(_reveal(digest) for digest in chosen) + tail
        for chosen in combinations(secret_hashes, threshold)
    )


def stage_scripts(scripts: Sequence[bytes], internal_key: bytes = INTERNAL_KEY) -> StageScripts:
    """The output that these leaves make, in the order founder, recover, end, seeders."""
    weights = [_FOUNDER_WEIGHT, _RECOVER_WEIGHT, _END_WEIGHT]
    weights += [_SEEDER_WEIGHT] * (len(scripts) - len(weights))
    leaf_hashes = tuple(leaf_hash(script) for script in scripts)
    root, paths = _grow(weights, leaf_hashes)
    output_key, parity = xonly_add(internal_key, tagged("TapTweak", internal_key + root))
    head = bytes([_LEAF_VERSION | parity]) + internal_key
    blocks = tuple(head + b"".join(path) for path in paths)
    return StageScripts(tuple(scripts), blocks, leaf_hashes, root, output_key)


def leaf_hash(script: bytes) -> bytes:
    """The TapLeaf hash of a script, leaf version c0."""
    return tagged("TapLeaf", bytes([_LEAF_VERSION]) + varbytes(script))


def penalty_sequence(days: int) -> int:
    """The relative lock of a penalty, in units of 512 seconds (BIP68)."""
    return _SECONDS_FLAG | days * _DAY // _SECONDS_UNIT


def penalty_script(investor_key: bytes, days: int) -> bytes:
    """The witness script of a penalty output: the plain key, not the tweaked one."""
    wait = number(penalty_sequence(days)) + bytes([OP_CHECKSEQUENCEVERIFY])
    return push(investor_key) + bytes([OP_CHECKSIGVERIFY]) + wait


def secret_hash_of(secret: bytes) -> bytes:
    """What a seeder commits to, in wire order."""
    return sha256d(secret)


def _key(public: bytes) -> bytes:
    return push(leaf_key(public))


def _signed_after(public: bytes, at: int) -> bytes:
    wait = number(at) + bytes([OP_CHECKLOCKTIMEVERIFY])
    return _key(public) + bytes([OP_CHECKSIGVERIFY]) + wait


def _reveal(digest: bytes) -> bytes:
    return bytes([OP_HASH256]) + push(digest) + bytes([OP_EQUALVERIFY])


@dataclass(frozen=True, slots=True)
class _Node:
    weight: int
    digest: bytes
    leaves: tuple[int, ...]


def _grow(weights: Sequence[int], digests: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """The root and each leaf's siblings upward, by Huffman with the clients' queue."""
    queue: list[_Node] = []
    paths: list[list[bytes]] = [[] for _ in digests]
    for place, (weight, digest) in enumerate(zip(weights, digests, strict=True)):
        _enqueue(queue, _Node(weight, digest, (place,)))
    while len(queue) > 1:
        first, second = _dequeue(queue), _dequeue(queue)
        for node, sibling in ((first, second), (second, first)):
            for place in node.leaves:
                paths[place].append(sibling.digest)
        low, high = sorted((first.digest, second.digest))
        merged = tagged("TapBranch", low + high)
        leaves = first.leaves + second.leaves
        _enqueue(queue, _Node(first.weight + second.weight, merged, leaves))
    return queue[0].digest, paths


def _enqueue(queue: list[_Node], node: _Node) -> None:
    """Put into .NET's 4-ary heap: up while strictly lighter than the parent."""
    place = len(queue)
    queue.append(node)
    while place:
        parent = (place - 1) // 4
        if queue[parent].weight <= node.weight:
            break
        queue[place] = queue[parent]
        place = parent
    queue[place] = node


def _dequeue(queue: list[_Node]) -> _Node:
    """Take from it: the last node sinks below the first lightest child while heavier than it."""
    top, node, place = queue[0], queue.pop(), 0
    if not queue:
        return top
    while children := range(4 * place + 1, min(4 * place + 5, len(queue))):
        lightest = min(children, key=lambda child: queue[child].weight)
        if node.weight <= queue[lightest].weight:
            break
        queue[place] = queue[lightest]
        place = lightest
    queue[place] = node
    return top

"""Stage outputs: the leaves of a stage, their tree, and the script it ends in.

Keys stand in the leaves tweaked (`leaf_key`); builders take the tweaked keys, so that leaves can be
rebuilt from what a spend revealed, too. Source: docs/angor.md 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Final

from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.script import (
    OP_CHECKLOCKTIMEVERIFY,
    OP_CHECKSIG,
    OP_CHECKSIGVERIFY,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH256,
    number,
    p2tr,
    push,
)
from raised.domain.bitcoin.taproot import (
    Merges,
    Tree,
    climb,
    control_block,
    grow,
    huffman,
    leaf_hash,
    output_key,
)

# Nobody is known to have its discrete logarithm: the hash of a text, read as an x coordinate.
UNSPENDABLE_KEY: Final = sha256(b"Angor Unspendable Taproot Key")
# BIP341's own example of such a point; the source holds it for a version that no caller selects.
NUMS_KEY: Final = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
INTERNAL_KEYS: Final = (UNSPENDABLE_KEY, NUMS_KEY)

FOUNDER_WEIGHT: Final = 70
RECOVER_WEIGHT: Final = 40
END_WEIGHT: Final = 1
SEEDER_WEIGHT: Final = 10

MAX_SEEDER_LEAVES: Final = 10_000  # the clients refuse more
# Ours, against hostile terms: long lists with a high threshold make few, but huge leaves.
MAX_SEEDER_BYTES: Final = 16 * 1024 * 1024
MAX_LOCKTIME: Final = 0xFFFFFFFF

_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Leaves:
    """The scripts of a stage output, by what a spend through them means."""

    founder: bytes
    recover: bytes
    end: bytes
    seeders: tuple[bytes, ...] = ()

    def in_order(self) -> tuple[bytes, ...]:
        """The scripts in the order in which the tree is built of them."""
        return (self.founder, self.recover, self.end, *self.seeders)


@dataclass(frozen=True, slots=True)
class StageOutput:
    """One stage's share of an investment; `script_pubkey` commits to `leaves`."""

    index: int
    vout: int
    value_sats: int
    release_at: int
    expiry_at: int
    script_pubkey: bytes
    leaves: Leaves
    internal_key: bytes


@lru_cache(maxsize=16_384)
def leaf_key(pubkey: bytes) -> bytes:
    """The x-only key that stands in the leaves for a compressed key: its BIP86 output key.

    Raises InvalidInput when it is no point. Source: docs/angor.md 8.1.
    """
    return output_key(pubkey[1:])[0]


@lru_cache(maxsize=16_384)
def founder_leaf(founder: bytes, release_at: int) -> bytes:
    """The founder may claim the stage from its release date on. One for all investors."""
    return _key_after(founder, release_at)


def end_leaf(investor: bytes, expiry_at: int) -> bytes:
    """The investor may take back what is left from the expiry date on."""
    return _key_after(investor, expiry_at)


def _key_after(key: bytes, locktime: int) -> bytes:
    lock = number(locktime) + bytes([OP_CHECKLOCKTIMEVERIFY])
    return push(key) + bytes([OP_CHECKSIGVERIFY]) + lock


def recover_leaf(founder_recovery: bytes, investor: bytes, secret_hash: bytes | None) -> bytes:
    """Founder and investor may move the stage together at any time; a seeder reveals the secret.

    `secret_hash` is in the order of the OP_RETURN.
    """
    both = push(founder_recovery) + bytes([OP_CHECKSIGVERIFY]) + push(investor)
    if secret_hash is None:
        return both + bytes([OP_CHECKSIG])
    secret = bytes([OP_HASH256]) + push(secret_hash) + bytes([OP_EQUAL])
    return both + bytes([OP_CHECKSIGVERIFY]) + secret


def seeder_leaves(
    investor: bytes, secret_hashes: Sequence[bytes], threshold: int
) -> tuple[bytes, ...] | None:
    """One leaf for each combination of `threshold` secrets that lets the investor leave freely.

    `secret_hashes` are in script order. Empty when no combination exists; None when there are more
    than the clients build. Source: docs/angor.md 8.4.
    """
    if not 0 < threshold <= len(secret_hashes):
        return ()
    count = comb(len(secret_hashes), threshold)
    if count > MAX_SEEDER_LEAVES or count * 35 * threshold > MAX_SEEDER_BYTES:
        return None
    checks = [
        bytes([OP_HASH256]) + push(secret_hash) + bytes([OP_EQUALVERIFY])
        for secret_hash in secret_hashes
    ]
    signed = push(investor) + bytes([OP_CHECKSIG])
    return tuple(b"".join(chosen) + signed for chosen in combinations(checks, threshold))


@lru_cache(maxsize=64)
def stage_merges(seeders: int) -> Merges:
    """The merges of a stage tree with so many seeder leaves. Source: docs/angor.md 8.5, 8.6."""
    return huffman([FOUNDER_WEIGHT, RECOVER_WEIGHT, END_WEIGHT] + [SEEDER_WEIGHT] * seeders)


def stage_tree(leaves: Leaves) -> Tree:
    """The tree of a stage; its leaves are numbered as `Leaves.in_order`."""
    return grow([leaf_hash(leaf) for leaf in leaves.in_order()], stage_merges(len(leaves.seeders)))


def stage_script(leaves: Leaves, internal_key: bytes = UNSPENDABLE_KEY) -> bytes:
    """The script_pubkey of a stage output with these leaves."""
    return p2tr(output_key(internal_key, stage_tree(leaves).root)[0])


def stage_control_block(leaves: Leaves, script: bytes, internal_key: bytes) -> bytes:
    """The control block with which one of these leaves is revealed."""
    tree = stage_tree(leaves)
    parity = output_key(internal_key, tree.root)[1]
    return control_block(internal_key, parity, tree.path(leaves.in_order().index(script)))


@lru_cache(maxsize=16_384)
def _founder_hash(founder: bytes, release_at: int) -> bytes:
    return leaf_hash(founder_leaf(founder, release_at))


@dataclass(frozen=True, slots=True)
class Trunk:
    """What the stages of one investment share: all of their leaves but the founder's.

    The stages differ in the founder leaf alone, so its siblings on the way to the root are hashed
    once, however many stages and seeder leaves there are.
    """

    recover: bytes
    end: bytes
    seeders: tuple[bytes, ...]
    founder_path: tuple[bytes, ...]

    def output_key(self, founder: bytes, release_at: int, internal_key: bytes) -> bytes:
        """The output key of the stage that the founder's leaf key may claim from `release_at`."""
        root = climb(_founder_hash(founder, release_at), self.founder_path)
        return output_key(internal_key, root)[0]

    def leaves(self, founder: bytes, release_at: int) -> Leaves:
        """All leaves of that stage."""
        return Leaves(founder_leaf(founder, release_at), self.recover, self.end, self.seeders)


def trunk(recover: bytes, end: bytes, seeders: tuple[bytes, ...] = ()) -> Trunk:
    """The trunk of an investment whose stages have these leaves beside the founder's."""
    hashes = [_NO_HASH, leaf_hash(recover), leaf_hash(end), *map(leaf_hash, seeders)]
    return Trunk(recover, end, seeders, grow(hashes, stage_merges(len(seeders))).path(0))

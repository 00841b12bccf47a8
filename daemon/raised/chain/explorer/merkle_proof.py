"""Whether a merkle proof is one: its leaf a transaction, its nodes none, its place a place.

The tree does not say how deep it is, and a node is 64 bytes like a transaction can be: a node can
be passed off as a transaction, and what stands in a transaction of 64 bytes as two leaves below it
(CVE-2017-12842). Source: chain-api.md 14.
"""

from typing import Final

from raised.chain.explorer.api import Proof
from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.tx import Tx, parse_tx, raw_from_hex
from raised.errors import InvalidInput

_NODE_SIZE: Final = 64
_MOST_DEPTH: Final = 15  # 4 million weight units hold 16,666 of the smallest transactions


def check_inclusion(tx: Tx, proof: Proof) -> None:
    """Raise InvalidInput when the folded proof could belong to something else than this leaf."""
    if len(tx.serialize(witness=False)) == _NODE_SIZE:
        raise InvalidInput("a transaction as long as a node of the tree")
    if len(proof.siblings) > _MOST_DEPTH:
        raise InvalidInput("a branch longer than any block has")
    if proof.position < 0 or proof.position >> len(proof.siblings):
        raise InvalidInput("a place that the branch does not have")
    _climb(raw_from_hex(tx.txid), proof)


def _climb(node: bytes, proof: Proof) -> None:
    position = proof.position
    for sibling in map(raw_from_hex, proof.siblings):
        if position & 1 and sibling == node:
            raise InvalidInput("a place behind the end of the block (CVE-2012-2459)")
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

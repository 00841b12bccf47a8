"""Merkle proofs that fold to the root and still prove nothing. Source: docs/chain-api.md 14."""

import pytest
from tests.rig.lying_explorer import Leaf

from raised.chain.explorer.api import Proof
from raised.chain.explorer.merkle_proof import check_inclusion
from raised.domain.bitcoin.block import Header, fold_merkle_proof, merkle_branch, merkle_levels
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, hex_from_raw, parse_tx, raw_from_hex
from raised.errors import InvalidInput


def paying(sats: int, script: bytes = b"\x51" * 20) -> Tx:
    txin = TxIn(OutPoint("ab" * 32, 0), b"", 0xFFFFFFFF, ())
    return Tx(2, (txin,), (TxOut(sats, script),), 0)


def proof_of(leaves: list[Tx | Leaf], position: int) -> Proof:
    levels = merkle_levels([raw_from_hex(leaf.txid) for leaf in leaves])
    siblings = tuple(map(hex_from_raw, merkle_branch(levels, position)))
    header = Header(1, "00" * 32, hex_from_raw(levels[-1][0]), 0, 0x207FFFFF, 0)
    return Proof(header, position, siblings)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_every_place_in_an_honest_tree_is_taken(count: int) -> None:
    txs = [paying(1000 + number) for number in range(count)]
    for position, tx in enumerate(txs):
        check_inclusion(tx, proof_of([*txs], position))


def test_a_transaction_of_64_bytes_is_refused() -> None:
    small = paying(1000, b"\x51" * 4)
    assert len(small.serialize()) == 64
    with pytest.raises(InvalidInput, match="as long as a node"):
        check_inclusion(small, proof_of([paying(1), small], 1))
    check_inclusion(paying(1), proof_of([paying(1), small], 0))


def test_what_stands_in_a_transaction_of_64_bytes_is_no_leaf_below_it() -> None:
    """The node above the two is a transaction: its bytes are their ids."""
    invented = next(
        tx for sats in range(1 << 12) if raw_from_hex((tx := paying(sats)).txid)[4] == 1
    )
    rest = bytes(9) + b"\x00" + b"\xff" * 4 + b"\x01" + bytes(8) + b"\x04" + bytes(8)
    small = parse_tx(raw_from_hex(invented.txid) + rest)
    proof = proof_of([paying(1), small], 1)
    below = Proof(proof.header, 2, (hex_from_raw(rest), *proof.siblings))
    assert fold_merkle_proof(invented.txid, below.siblings, 2) == proof.header.merkle_root
    with pytest.raises(InvalidInput, match="through a transaction"):
        check_inclusion(invented, below)


def test_a_place_behind_the_end_of_the_block_is_refused() -> None:
    """The last of an odd number is paired with itself: it has one place, not two."""
    txs = [paying(1000 + number) for number in range(3)]
    proof = proof_of([*txs], 2)
    behind = Proof(proof.header, 3, proof.siblings)
    assert fold_merkle_proof(txs[2].txid, behind.siblings, 3) == proof.header.merkle_root
    with pytest.raises(InvalidInput, match="behind the end"):
        check_inclusion(txs[2], behind)


@pytest.mark.parametrize(("position", "depth"), [(2, 1), (-1, 1), (0, 16)])
def test_a_place_that_no_tree_has_is_refused(position: int, depth: int) -> None:
    tx = paying(1)
    proof = Proof(proof_of([tx], 0).header, position, ("22" * 32,) * depth)
    with pytest.raises(InvalidInput):
        check_inclusion(tx, proof)

"""Blocks: a whole chain that Bitcoin Core accepted, and every way to forge a block."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.bitcoin.block import (
    Block,
    Header,
    check_block,
    fold_merkle_proof,
    has_repeated_tail,
    meets_target,
    merkle_branch,
    merkle_levels,
    merkle_root,
    parse_block,
    parse_header,
    target,
    work,
)
from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.tx import Tx, TxIn, hex_from_raw, raw_from_hex
from raised.errors import InvalidInput

VECTORS = vectors.CHAIN


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


CHAIN = [row for row in load("regtest/chain.json")["blocks"] if row.get("raw")]
FULL = max(CHAIN, key=lambda row: len(row["raw"]))
RAW = bytes.fromhex(FULL["raw"])


@pytest.mark.parametrize("row", CHAIN, ids=lambda row: str(row["hash"])[-8:])
def test_every_block_of_the_chain_proves_itself(row: dict[str, Any]) -> None:
    block = parse_block(bytes.fromhex(row["raw"]))
    check_block(block)
    assert block.header.hash == row["hash"]
    assert block.header.prev_hash == row["prev"]
    assert block.header.serialize().hex() == row["header"]
    assert [tx.txid for tx in block.txs] == row["txids"]


@pytest.mark.parametrize("row", load("real/headers.json"), ids=lambda row: str(row["network"]))
def test_a_real_header_hashes_and_meets_its_target(row: dict[str, Any]) -> None:
    header = parse_header(bytes.fromhex(row["header"]))
    assert header.hash == row["hash"]
    assert meets_target(header)
    assert f"{header.bits:08x}" == row["bits"]


def test_the_fields_of_a_real_block_rebuild_its_header() -> None:
    row = load("real/block_363366.json")
    header = Header(
        row["version"],
        row["previousblockhash"],
        row["merkle_root"],
        row["timestamp"],
        row["bits"],
        row["nonce"],
    )
    assert header.hash == row["id"]
    assert parse_header(header.serialize()) == header


@pytest.mark.parametrize("row", load("real/merkle_proofs.json"), ids=lambda row: row["txid"][:8])
def test_a_real_merkle_proof_folds_to_the_root_of_its_header(row: dict[str, Any]) -> None:
    answer = row["response"]
    header = parse_header(bytes.fromhex(row["header"]))
    assert fold_merkle_proof(row["txid"], answer["merkle"], answer["pos"]) == header.merkle_root
    other = answer["pos"] ^ 1
    assert fold_merkle_proof(row["txid"], answer["merkle"], other) != header.merkle_root


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_every_branch_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(leaves) - 1))
    siblings = [hex_from_raw(sibling) for sibling in merkle_branch(merkle_levels(leaves), position)]
    folded = fold_merkle_proof(hex_from_raw(leaves[position]), siblings, position)
    assert folded == hex_from_raw(merkle_root(leaves))


def test_a_branch_that_cannot_be_is_refused() -> None:
    txid = "11" * 32
    with pytest.raises(InvalidInput):
        fold_merkle_proof(txid, ["22" * 32], 2)
    with pytest.raises(InvalidInput):
        fold_merkle_proof(txid, ["22" * 32] * 25, 0)
    with pytest.raises(InvalidInput):
        fold_merkle_proof(txid, ["22" * 31], 0)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_block_or_a_clear_error(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        check_block(parse_block(raw))


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_no_byte_of_a_block_can_be_changed(at: int, flip: int) -> None:
    """But its work can be done anew for another header: on regtest one in two is good enough."""
    raw = bytearray(RAW)
    raw[at] ^= flip
    try:
        block = parse_block(bytes(raw))
        check_block(block)
    except InvalidInput:
        return
    assert at < 80
    assert block.header.hash != FULL["hash"]


@pytest.mark.parametrize("cut", [0, 79, 80, 81, 200, -1])
def test_a_cut_block_is_an_error(cut: int) -> None:
    with pytest.raises(InvalidInput):
        parse_block(RAW[:cut])
    with pytest.raises(InvalidInput, match="bytes behind"):
        parse_block(RAW + b"\x00")


def mined(header: Header) -> Header:
    """The header with a nonce that meets regtest's target."""
    return next(
        found for nonce in range(1000) if meets_target(found := replace(header, nonce=nonce))
    )


def forged(txs: tuple[Tx, ...]) -> Block:
    """A block over these transactions whose header is right for them."""
    root = hex_from_raw(merkle_root([raw_from_hex(tx.txid) for tx in txs]))
    return Block(mined(replace(parse_block(RAW).header, merkle_root=root)), txs)


def test_a_changed_witness_is_found_by_the_commitment() -> None:
    block = parse_block(RAW)
    at, victim = next((i, tx) for i, tx in enumerate(block.txs) if i and tx.has_witness)
    first = victim.inputs[0]
    changed = Tx(
        victim.version,
        (first._replace(witness=(*first.witness[:-1], b"\x00")), *victim.inputs[1:]),
        victim.outputs,
        victim.locktime,
    )
    assert changed.txid == victim.txid
    with pytest.raises(InvalidInput, match="witnesses are not those"):
        check_block(Block(block.header, (*block.txs[:at], changed, *block.txs[at + 1 :])))


def test_witnesses_need_a_commitment() -> None:
    block = parse_block(RAW)
    coinbase = block.txs[0]
    bare = Tx(coinbase.version, coinbase.inputs, coinbase.outputs[:1], coinbase.locktime)
    with pytest.raises(InvalidInput, match="without a commitment"):
        check_block(forged((bare, *block.txs[1:])))


def test_a_repeated_tail_is_refused_though_the_root_is_right() -> None:
    """CVE-2012-2459: [a, b, c] and [a, b, c, c] have one root."""
    block = parse_block(next(bytes.fromhex(row["raw"]) for row in CHAIN if len(row["txids"]) > 3))
    txs = block.txs[:3]
    doubled = (*txs, txs[2])
    leaves = [raw_from_hex(tx.txid) for tx in txs]
    assert merkle_root(leaves) == merkle_root([*leaves, leaves[2]])
    assert has_repeated_tail(merkle_levels([*leaves, leaves[2]]))
    assert not has_repeated_tail(merkle_levels(leaves))
    with pytest.raises(InvalidInput, match="repeats its tail"):
        check_block(forged(doubled))


def test_a_transaction_of_64_bytes_is_a_transaction() -> None:
    """Consensus allows it, and Bitcoin Core takes such blocks (bitcoin/bips#1760)."""
    coinbase = parse_block(RAW).txs[0]
    tiny = Tx(1, (TxIn(coinbase.inputs[0].outpoint, b"", 0),), (), 0)
    small = Tx(1, tiny.inputs, (coinbase.outputs[0]._replace(script_pubkey=b"\x51" * 4),), 0)
    assert len(small.serialize()) == 64
    bare = Tx(coinbase.version, coinbase.inputs, coinbase.outputs[:1], coinbase.locktime)
    without_witness = tuple(txin._replace(witness=()) for txin in bare.inputs)
    check_block(forged((Tx(bare.version, without_witness, bare.outputs, 0), small)))


def test_inner_nodes_of_a_tree_cannot_pass_for_the_transactions() -> None:
    """A list that begins with no coinbase is refused before anything else is read into it."""
    coinbase = parse_block(RAW).txs[0]
    small = Tx(
        1,
        (TxIn(coinbase.inputs[0].outpoint._replace(txid="11" * 32, vout=0), b"", 0),),
        (coinbase.outputs[0]._replace(script_pubkey=b"\x51" * 4),),
        0,
    )
    with pytest.raises(InvalidInput, match="no coinbase"):
        check_block(forged((small, small)))


def test_a_block_begins_with_its_coinbase() -> None:
    with pytest.raises(InvalidInput, match="no coinbase"):
        check_block(forged(parse_block(RAW).txs[1:]))


def test_another_header_or_missing_work_is_refused() -> None:
    block = parse_block(RAW)
    other = mined(replace(block.header, merkle_root="00" * 32))
    with pytest.raises(InvalidInput, match="not those of the header"):
        check_block(Block(other, block.txs))
    lazy = replace(block.header, bits=0x1D00FFFF)
    assert not meets_target(lazy)
    with pytest.raises(InvalidInput, match="target"):
        check_block(Block(lazy, block.txs))


def test_targets_and_work() -> None:
    assert target(0x1D00FFFF) == 0xFFFF << 208
    assert target(0x0300FFFF) == 0xFFFF
    assert target(0x0200FFFF) == 0xFF
    assert work(0x1D00FFFF) == 0x100010001
    for bits in (0, 0x1D800001, 0xFF00FFFF):
        with pytest.raises(InvalidInput):
            target(bits)
    assert not meets_target(replace(parse_block(RAW).header, bits=0))


def test_the_root_of_one_is_itself() -> None:
    assert merkle_root([bytes(32)]) == bytes(32)
    assert merkle_root([bytes(32), bytes(32)]) == sha256d(bytes(64))

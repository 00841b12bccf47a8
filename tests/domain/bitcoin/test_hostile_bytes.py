"""Bytes and texts that strangers made on purpose: each costs its sender, never us."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.identifier import program_of
from raised.domain.angor.terms import parse_terms
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.block import Block, Header, check_block, meets_target, parse_block
from raised.domain.bitcoin.tx import COINBASE_TXID, MAX_MONEY, OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.domain.json_object import parse_object
from raised.errors import InvalidInput

VECTORS = vectors.ROOT
CHAIN = json.loads((VECTORS / "chain" / "regtest" / "chain.json").read_text())["blocks"]
EVENTS = json.loads((VECTORS / "angor" / "events.json").read_text())["projectEvents"]
PLAIN: str = EVENTS[0]["event"]["content"]
LATE = 1_767_600_000


def block_with_witnesses() -> Block:
    blocks = (parse_block(bytes.fromhex(one["raw"])) for one in CHAIN if one.get("raw"))
    return next(block for block in blocks if any(tx.has_witness for tx in block.txs[1:]))


def without_witness(tx: Tx) -> Tx:
    inputs = tuple(txin._replace(witness=()) for txin in tx.inputs)
    return replace(tx, inputs=inputs)


def test_a_block_whose_witnesses_were_all_left_out_is_refused() -> None:
    """Its ids still lead to the header's root: only the commitment tells, and it is there."""
    block = block_with_witnesses()
    check_block(block)
    bare = Block(block.header, tuple(map(without_witness, block.txs)))
    with pytest.raises(InvalidInput):
        check_block(bare)


def test_a_block_without_commitment_and_witnesses_needs_none() -> None:
    coinbase = Tx(1, (TxIn(OutPoint(COINBASE_TXID, 0xFFFFFFFF), b"\0\0", 0),), (TxOut(1, b""),), 0)
    headers = (Header(1, "00" * 32, coinbase.txid, 0, 0x207FFFFF, nonce) for nonce in range(99))
    check_block(Block(next(filter(meets_target, headers)), (coinbase,)))


def test_outputs_that_sum_to_more_than_all_money_are_no_transaction() -> None:
    """As in Core's CheckTransaction; a few such would not fit the columns that hold sums."""
    spent = TxIn(OutPoint("11" * 32, 0), b"", 0)
    most = Tx(1, (spent,), (TxOut(MAX_MONEY - 1, b""), TxOut(1, b"")), 0)
    assert parse_tx(most.serialize()).outputs == most.outputs
    more = Tx(1, (spent,), (TxOut(MAX_MONEY, b""), TxOut(1, b"")), 0)
    with pytest.raises(InvalidInput):
        parse_tx(more.serialize())


HOSTILE_NUMBERS = (
    "1e9999999999999999999",
    "1e-9999999999999999999",
    "-1e99999999999999999999999999",
    "1e999999999999999999",
    "1e-425000000",
    "9" * 39 + "e9",
    "0e-9999999999999999999",
    "1E+1000000",
    "9" * 5000,
    "0." + "9" * 5000,
    "NaN",
    "Infinity",
    "-Infinity",
)


@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=lambda vector: vector[:24])
@pytest.mark.parametrize("field", ["targetAmount", "amountToRelease", "startDate", "expiryDate"])
def test_a_number_of_any_exponent_is_read_or_refused(number: str, field: str) -> None:
    fields: dict[str, Any] = json.loads(PLAIN)
    if field == "amountToRelease":
        fields["stages"][0][field] = "@"
    else:
        fields[field] = "@"
    content = json.dumps(fields).replace('"@"', number)
    try:
        terms = parse_terms(content, LATE)
    except InvalidInput:
        return
    if field == "amountToRelease":  # rounded as .NET rounds: to 28 places at most
        assert str(terms.stages[0].percent) in ("1.0000000000000000000000000000", "0E-28")
    else:
        assert field == "targetAmount"
        assert terms.target_sats in (None, 100_000_000)


@pytest.mark.parametrize("target", ["1e-999999", "0.000000001", "0", "0.0", "0e-5", "-1", "1e30"])
@pytest.mark.parametrize("created_at", [0, LATE])
def test_a_target_that_is_no_amount_is_no_target(target: str, created_at: int) -> None:
    fields: dict[str, Any] = json.loads(PLAIN) | {"targetAmount": "@"}
    content = json.dumps(fields).replace('"@"', target)
    assert parse_terms(content, created_at).target_sats is None


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, "{", "", "\ufeff{}", '{"a":1}x', "null", "[]", '"', "{]"],
    ids=lambda vector: vector[:8],
)
def test_what_is_no_object_is_refused_however_deep(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_object(text)


def test_an_identifier_is_ascii() -> None:
    """The lower case of the kelvin sign is a k, so case-folding alone would let it pass."""
    texts = [encode("angor", 0, bytes([number] * 20)).upper() for number in range(20)]
    with_k = next(text for text in texts if "K" in text)
    assert len(program_of(with_k)) == 20
    with pytest.raises(InvalidInput):
        program_of(with_k.replace("K", "\u212a"))

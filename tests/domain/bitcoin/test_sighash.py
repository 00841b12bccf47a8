"""Signature messages, and spends of stage and penalty outputs: real ones, and forged ones."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.stage_output import NUMS_KEY
from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign, tweak_secret
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.script import is_p2tr, is_p2wsh, p2tr
from raised.domain.bitcoin.sighash import (
    Spending,
    taproot_sighash,
    verify_script_spend,
    verify_spend,
)
from raised.domain.bitcoin.taproot import control_block, leaf_hash, output_key
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.errors import InvalidInput

VECTORS = vectors.ROOT
ANGOR = VECTORS / "angor"
GOLDEN: dict[str, Any] = json.loads((ANGOR / "reference_golden.json").read_text())
REAL: dict[str, Any] = json.loads((ANGOR / "real_transactions.json").read_text())["angornet"]
SCENARIOS = ("invest", "seeders", "fund", "subscribe")
EXPLORER = ("founder_claim_scriptpath", "investor_recovery_scriptpath")


def prevouts_of(entry: dict[str, Any]) -> tuple[TxOut, ...]:
    return tuple(
        TxOut(prevout["value"], bytes.fromhex(prevout["scriptPubKey"]))
        for prevout in entry["prevouts"]
    )


def from_explorer(name: str) -> Spending:
    """A transaction as an explorer's JSON tells it."""
    path = VECTORS / "chain" / "real" / f"tx_angor_{name}.json"
    shown: dict[str, Any] = json.loads(path.read_text())
    inputs = tuple(
        TxIn(
            OutPoint(tx_input["txid"], tx_input["vout"]),
            bytes.fromhex(tx_input["scriptsig"]),
            tx_input["sequence"],
            tuple(bytes.fromhex(item) for item in tx_input["witness"]),
        )
        for tx_input in shown["vin"]
    )
    outputs = tuple(
        TxOut(output["value"], bytes.fromhex(output["scriptpubkey"])) for output in shown["vout"]
    )
    tx = Tx(shown["version"], inputs, outputs, shown["locktime"])
    assert tx.txid == shown["txid"]
    prevouts = (tx_input["prevout"] for tx_input in shown["vin"])
    spent = (
        TxOut(prevout["value"], bytes.fromhex(prevout["scriptpubkey"])) for prevout in prevouts
    )
    return Spending(tx, tuple(spent))


def spendings() -> Iterator[tuple[str, Spending]]:
    for scenario in SCENARIOS:
        story = json.loads((ANGOR / f"scenario_{scenario}.json").read_text())
        for entry in story["transactions"]:
            tx = parse_tx(bytes.fromhex(entry["hex"]))
            yield f"{scenario}-{entry['label']}", Spending(tx, prevouts_of(entry))
    for entry in REAL["transactions"]:
        tx = parse_tx(bytes.fromhex(entry["hex"]))
        yield f"real-{entry['role'][:20]}", Spending(tx, prevouts_of(entry))
    for name in EXPLORER:
        yield f"explorer-{name}", from_explorer(name)


def script_spends() -> list[Any]:
    return [
        pytest.param(spending, vin, id=f"{name}-{vin}")
        for name, spending in spendings()
        for vin, output in enumerate(spending.spent)
        if is_p2tr(output.script_pubkey) or is_p2wsh(output.script_pubkey)
    ]


def with_witness(spending: Spending, vin: int, witness: tuple[bytes, ...]) -> Spending:
    inputs = list(spending.tx.inputs)
    inputs[vin] = inputs[vin]._replace(witness=witness)
    return Spending(replace(spending.tx, inputs=tuple(inputs)), spending.spent)


def test_the_vectors_hold_every_kind_of_spend() -> None:
    assert len(script_spends()) == 49
    sizes = {
        len(script_spend.values[0].tx.inputs[script_spend.values[1]].witness)
        for script_spend in script_spends()
    }
    assert sizes == {2, 3, 4, 5}


def test_recovery_messages_are_those_the_reference_test_asserts() -> None:
    golden = GOLDEN["recoverySighash"]
    tx = parse_tx(bytes.fromhex(golden["recoveryTxHex"]))
    stages = golden["stageDates"]["stages"]
    funded = bytes.fromhex(golden["investmentTxHexNormalised"])
    spent = []
    for stage in stages:
        script = bytes.fromhex(stage["scriptPubKey"])
        at = funded.index(script)
        spent.append(TxOut(int.from_bytes(funded[at - 9 : at - 1], "little"), script))
    spending = Spending(tx, tuple(spent))
    messages = [
        taproot_sighash(
            spending,
            stage["index"],
            golden["sighashType"],
            leaf_hash=leaf_hash(bytes.fromhex(stage["recoverLeaf"])),
        ).hex()
        for stage in stages
    ]
    assert messages == golden["expectedSighashes"]


@pytest.mark.parametrize(("spending", "vin"), script_spends())
def test_a_spend_the_chain_accepted_verifies(spending: Spending, vin: int) -> None:
    assert verify_spend(spending, vin)
    assert verify_script_spend(spending.tx, vin, spending.spent)


@pytest.mark.parametrize(("spending", "vin"), script_spends())
def test_a_forged_witness_is_refused(spending: Spending, vin: int) -> None:
    witness = spending.tx.inputs[vin].witness
    for at, item in enumerate(witness):
        for byte in {0, len(item) // 2, len(item) - 1}:
            forged = item[:byte] + bytes([item[byte] ^ 1]) + item[byte + 1 :]
            forged_witness = (*witness[:at], forged, *witness[at + 1 :])
            assert not verify_spend(with_witness(spending, vin, forged_witness), vin)
        assert not verify_spend(with_witness(spending, vin, witness[:at] + witness[at + 1 :]), vin)
        longer = (*witness[:at], b"\x01", *witness[at:])
        assert not verify_spend(with_witness(spending, vin, longer), vin)
    assert not verify_spend(with_witness(spending, vin, ()), vin)
    assert not verify_spend(with_witness(spending, vin, (bytes(64),)), vin)


@pytest.mark.parametrize(("spending", "vin"), script_spends())
def test_another_coin_or_payment_is_not_signed(spending: Spending, vin: int) -> None:
    """What every hash type covers: the output's value and the output with the same index."""
    output = spending.spent[vin]
    dearer = list(spending.spent)
    dearer[vin] = output._replace(value=output.value + 1)
    assert not verify_script_spend(spending.tx, vin, dearer)
    outputs = list(spending.tx.outputs)
    paid = min(vin, len(outputs) - 1)
    outputs[paid] = outputs[paid]._replace(value=outputs[paid].value + 1)
    tx = replace(spending.tx, outputs=tuple(outputs))
    assert not verify_script_spend(tx, vin, spending.spent)
    if spending.tx.locktime:
        assert not verify_script_spend(replace(spending.tx, locktime=0), vin, spending.spent)
    inputs = list(spending.tx.inputs)
    inputs[vin] = inputs[vin]._replace(sequence=inputs[vin].sequence ^ 1)
    assert not verify_script_spend(replace(spending.tx, inputs=tuple(inputs)), vin, spending.spent)


SECRET = bytes(31) + b"\x07"
PUBKEY = pubkey_from_secret(SECRET)[1:]


def lone_leaf(script: bytes, *, locktime: int = 0, sequence: int = 0, outputs: int = 1) -> Spending:
    """A spend of an output that commits to this script alone; its witness still lacks a stack."""
    key, parity = output_key(NUMS_KEY, leaf_hash(script))
    witness = (script, control_block(NUMS_KEY, parity, ()))
    tx = Tx(
        2,
        (TxIn(OutPoint("11" * 32, 0), b"", sequence, witness),),
        (TxOut(900, p2tr(PUBKEY)),) * outputs,
        locktime,
    )
    return Spending(tx, (TxOut(1000, p2tr(key)),))


def signed(
    spending: Spending, hash_type: int, *, annex: bytes | None = None, size: int = 65
) -> Spending:
    script, control = spending.tx.inputs[0].witness
    message = taproot_sighash(spending, 0, hash_type, leaf_hash=leaf_hash(script), annex=annex)
    signature = schnorr_sign(message, SECRET) + bytes([hash_type])[: size - 64]
    extra = () if annex is None else (annex,)
    return with_witness(spending, 0, (signature, script, control, *extra))


CHECKSIG = b"\x20" + PUBKEY + b"\xac"


@pytest.mark.parametrize("hash_type", [1, 2, 3, 0x81, 0x82, 0x83])
def test_every_hash_type_verifies(hash_type: int) -> None:
    assert verify_spend(signed(lone_leaf(CHECKSIG), hash_type), 0)


def test_the_default_hash_type_is_never_written_out() -> None:
    assert verify_spend(signed(lone_leaf(CHECKSIG), 0, size=64), 0)
    assert not verify_spend(signed(lone_leaf(CHECKSIG), 0), 0)


def test_an_annex_is_signed() -> None:
    spending = signed(lone_leaf(CHECKSIG), 1, annex=b"\x50note")
    assert verify_spend(spending, 0)
    witness = spending.tx.inputs[0].witness
    assert not verify_spend(with_witness(spending, 0, witness[:-1]), 0)
    assert not verify_spend(with_witness(spending, 0, (*witness[:-1], b"\x50fake")), 0)


def test_unknown_hash_types_have_no_message() -> None:
    for hash_type in (4, 0x80, 0x84, 0xFF):
        with pytest.raises(InvalidInput):
            taproot_sighash(lone_leaf(CHECKSIG), 0, hash_type)


def test_single_needs_an_output_beside_its_input() -> None:
    with pytest.raises(InvalidInput):
        taproot_sighash(lone_leaf(CHECKSIG, outputs=0), 0, 3)


def test_every_input_needs_its_spent_output() -> None:
    with pytest.raises(InvalidInput):
        Spending(lone_leaf(CHECKSIG).tx, ())


def test_a_key_path_spend_verifies_by_the_output_key() -> None:
    tweak = tagged("TapTweak", PUBKEY)
    key, _ = output_key(PUBKEY)
    spending = Spending(lone_leaf(CHECKSIG).tx, (TxOut(1000, p2tr(key)),))
    signature = schnorr_sign(taproot_sighash(spending, 0, 0), tweak_secret(SECRET, tweak))
    assert verify_spend(with_witness(spending, 0, (signature,)), 0)
    assert not verify_spend(with_witness(spending, 0, (signature[:-1] + b"\x00",)), 0)


def test_only_stage_and_penalty_outputs_are_judged() -> None:
    spending = lone_leaf(CHECKSIG)
    other = Spending(spending.tx, (TxOut(1000, b"\x00\x14" + bytes(20)),))
    assert not verify_spend(other, 0)


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_no_witness_makes_the_check_fail_otherwise(witness: list[bytes]) -> None:
    for script in (p2tr(PUBKEY), b"\x00\x20" + bytes(32)):
        spending = Spending(lone_leaf(CHECKSIG).tx, (TxOut(1000, script),))
        assert not verify_spend(with_witness(spending, 0, tuple(witness)), 0)

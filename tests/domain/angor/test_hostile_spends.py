"""Spends of what looks like Angor's: nothing valid is called a forgery, no forgery valid."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.spend_proof import is_forged
from raised.domain.angor.stage_output import UNSPENDABLE_KEY
from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign, tweak_secret
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.script import p2tr, p2wsh, push
from raised.domain.bitcoin.sighash import Spending, taproot_sighash, verify_spend
from raised.domain.bitcoin.taproot import control_block, leaf_hash, output_key
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
# A true value, an unknown opcode that always succeeds, a key of 33 bytes, a multisig, a timelock.
FOREIGN = [b"\x51", b"\x50", b"\x21" + b"\x05" * 33 + b"\xac", b"\x51\x75\x51", b"\x01\x05\xb1"]


def spent_by(script_pubkey: bytes, witness: tuple[bytes, ...]) -> Spending:
    txin = TxIn(OutPoint("11" * 32, 0), b"", 0, witness)
    return Spending(Tx(2, (txin,), (TxOut(900, b"\x51"),), 0), (TxOut(1_000, script_pubkey),))


def stage_spends() -> Iterator[tuple[Spending, int]]:
    for name in NAMES:
        story: dict[str, Any] = json.loads((VECTORS / f"scenario_{name}.json").read_text())
        for entry in story["transactions"]:
            if entry["expected"]["type"] in ("spend", "penalty_release"):
                tx = parse_tx(bytes.fromhex(entry["hex"]))
                spent = tuple(
                    TxOut(prevout["value"], bytes.fromhex(prevout["scriptPubKey"]))
                    for prevout in entry["prevouts"]
                )
                for vin, word in enumerate(entry["expected"]["inputs"]):
                    if word != "other":
                        yield Spending(tx, spent), vin


def with_witness(spending: Spending, vin: int, witness: tuple[bytes, ...]) -> Spending:
    tx = spending.tx
    inputs = list(tx.inputs)
    inputs[vin] = inputs[vin]._replace(witness=witness)
    return Spending(Tx(tx.version, tuple(inputs), tx.outputs, tx.locktime), spending.spent)


def test_every_true_spend_is_believed_and_every_change_of_it_is_found() -> None:
    for spending, vin in stage_spends():
        assert not is_forged(spending, vin)
        witness = spending.tx.inputs[vin].witness
        for at, item in enumerate(witness):
            changed = bytes([item[0] ^ 4]) + item[1:]
            forged = (*witness[:at], changed, *witness[at + 1 :])
            assert is_forged(with_witness(spending, vin, forged), vin)
        for forged in ((), (b"",), (b"\x01" * 64,), witness[1:], (b"\x51", *witness[-1:])):
            assert is_forged(with_witness(spending, vin, forged), vin)


@pytest.mark.parametrize("script", FOREIGN, ids=bytes.hex)
def test_a_tapscript_of_another_shape_is_no_forgery(script: bytes) -> None:
    """Anybody may lock a taproot output so behind a key, and spend it as consensus allows."""
    key, parity = output_key(UNSPENDABLE_KEY, leaf_hash(script))
    witness = (b"\x30" * 71, script, control_block(UNSPENDABLE_KEY, parity, ()))
    assert not is_forged(spent_by(p2tr(key), witness), 0)
    # But the output must commit to it, or any witness could be explained away.
    assert is_forged(spent_by(p2tr(UNSPENDABLE_KEY), witness), 0)


def test_a_leaf_of_an_unknown_version_is_no_forgery() -> None:
    script = push(bytes(32)) + b"\xad" + b"\x04abcd" + b"\xb1"
    key, parity = output_key(UNSPENDABLE_KEY, leaf_hash(script, 0xC2))
    control = bytes([0xC2 | parity]) + UNSPENDABLE_KEY
    assert not is_forged(spent_by(p2tr(key), (script, control)), 0)


@pytest.mark.parametrize("script", [b"\x51", b"\x52" + b"\x21" + b"\x02" * 33 + b"\x51\xae", b""])
def test_change_to_a_multisig_beside_a_spend_is_no_forgery(script: bytes) -> None:
    assert not is_forged(spent_by(p2wsh(script), (b"", b"\x30", script)), 0)
    assert is_forged(spent_by(p2wsh(script + b"\x51"), (b"", b"\x30", script)), 0)


def test_a_wallets_own_taproot_change_is_spent_by_its_key() -> None:
    secret = (77).to_bytes(32, "big")
    internal = pubkey_from_secret(secret)[1:]
    tweaked = tweak_secret(secret, tagged("TapTweak", internal))
    bare = spent_by(p2tr(output_key(internal)[0]), ())
    signature = schnorr_sign(taproot_sighash(bare, 0, 0), tweaked)
    spending = with_witness(bare, 0, (signature,))
    assert verify_spend(spending, 0)
    assert not is_forged(spending, 0)
    assert is_forged(with_witness(bare, 0, (bytes(64),)), 0)

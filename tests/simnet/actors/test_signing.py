"""The digests of the actors, judged by Bitcoin Core's engine."""

import pytest

pytest.importorskip("pbk")

from raised.domain.bitcoin.curve import (
    ecdsa_sign,
    pubkey_from_secret,
    schnorr_sign,
    tweak_secret,
    xonly_add,
)
from raised.domain.bitcoin.hashes import sha256, tagged
from raised.domain.bitcoin.script import p2tr, p2wsh, push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.signing import (
    bip143_digest,
    keypath_digest,
    leaf_hash,
    tapscript_digest,
    with_witness,
)
from raised_simnet.bitcoin.kernel import verify_inputs

SECRET = sha256(b"a signer")
KEY = pubkey_from_secret(SECRET)
LEAF = push(KEY[1:]) + b"\xac"
INTERNAL = pubkey_from_secret(sha256(b"internal"))[1:]
HASH_TYPES = [0x01, 0x02, 0x03, 0x81, 0x82, 0x83]


def spend(outputs: list[TxOut]) -> Tx:
    """A transaction that spends these outputs, with as many of its own."""
    inputs = tuple(
        TxIn(OutPoint(sha256(b"%d" % n).hex(), n), b"", 0xFFFFFFFD) for n in range(len(outputs))
    )
    made = tuple(TxOut(output.value - 1, b"\x51") for output in outputs)
    return Tx(2, inputs, made, 0)


@pytest.mark.parametrize("vin", [0, 1])
@pytest.mark.parametrize("hash_type", HASH_TYPES)
def test_a_leaf_signature_of_every_type_is_accepted(hash_type: int, vin: int) -> None:
    root = leaf_hash(LEAF)
    key, parity = xonly_add(INTERNAL, tagged("TapTweak", INTERNAL + root))
    spent = [TxOut(1000, p2tr(key)), TxOut(2000, p2tr(key))]
    tx = spend(spent)
    digest = tapscript_digest(tx, vin, spent, LEAF, hash_type)
    signature = schnorr_sign(digest, SECRET) + bytes([hash_type])
    signed = with_witness(tx, vin, [signature, LEAF, bytes([0xC0 | parity]) + INTERNAL])
    assert verify_inputs(signed, spent)[vin]
    other = with_witness(tx, vin, [signature[:-1] + b"\x04", LEAF, signed.inputs[vin].witness[2]])
    assert not verify_inputs(other, spent)[vin]


@pytest.mark.parametrize("hash_type", [0x00, *HASH_TYPES])
def test_a_key_path_signature_of_every_type_is_accepted(hash_type: int) -> None:
    tweak = tagged("TapTweak", KEY[1:])
    key, _ = xonly_add(KEY[1:], tweak)
    spent = [TxOut(1000, p2tr(key)), TxOut(2000, p2tr(key))]
    tx = spend(spent)
    digest = keypath_digest(tx, 1, spent, hash_type)
    suffix = bytes([hash_type]) if hash_type else b""
    signed = with_witness(tx, 1, [schnorr_sign(digest, tweak_secret(SECRET, tweak)) + suffix])
    assert verify_inputs(signed, spent) == [False, True]


def test_a_witness_script_signature_is_accepted() -> None:
    script = push(KEY) + b"\xac"
    spent = [TxOut(1000, p2wsh(script)), TxOut(2000, p2wsh(script))]
    tx = spend(spent)
    signature = ecdsa_sign(bip143_digest(tx, 1, script, 2000), SECRET) + b"\x01"
    assert verify_inputs(with_witness(tx, 1, [signature, script]), spent) == [False, True]

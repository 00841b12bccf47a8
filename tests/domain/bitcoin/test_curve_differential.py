"""Our curve, key derivation and signature messages against libwally, another implementation."""

import json
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.bitcoin.bip32 import parse_xpub
from raised.domain.bitcoin.curve import (
    ecdsa_sign,
    ecdsa_verify,
    is_point,
    pubkey_add,
    pubkey_from_secret,
    schnorr_sign,
    schnorr_verify,
    xonly_add,
)
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.script import p2tr
from raised.domain.bitcoin.sighash import Spending, segwit_sighash, taproot_sighash
from raised.domain.bitcoin.taproot import leaf_hash, output_key
from raised.domain.bitcoin.tx import TxOut, parse_tx
from raised.errors import InvalidInput

with warnings.catch_warnings():
    # Its SWIG types are old-fashioned; made errors, those warnings crash the interpreter at exit.
    warnings.simplefilter("ignore")
    import wallycore

ANGOR = vectors.ANGOR
ROOT = (
    "tpubD8JfN1evVWPoJmLgVg6Usq2HEW9tLqm6CyECAADnH5tyQosrL6NuhpL9X1cQC"
    "bSmndVrgLSGGdbRqLfUbE6cRqUbrHtDJgSyQEY2Uu7WwTL"
)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TAPROOT_TYPES = (0, 1, 2, 3, 0x81, 0x82, 0x83)
NO_CODE_SEPARATOR = 0xFFFFFFFF
LEAF = b"\x20" + bytes(32) + b"\xac"
Answer = TypeVar("Answer")

bytes32 = st.binary(min_size=32, max_size=32)
secrets = st.integers(1, ORDER - 1).map(lambda secret: secret.to_bytes(32, "big"))
# Half of all x coordinates belong to no point, and edges deserve more than their share.
edges = st.sampled_from([bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big"), b"\x01" * 32])


def or_none(call: Callable[[], Answer]) -> Answer | None:
    """What the call answers, None when it refuses its input."""
    try:
        return call()
    except (ValueError, RuntimeError):
        return None


@given(st.sampled_from([b"\x02", b"\x03", b"\x04", b""]), bytes32 | edges, bytes32 | edges)
def test_adding_a_tweak_to_a_point_agrees(prefix: bytes, x: bytes, tweak: bytes) -> None:
    ours = or_none(lambda: pubkey_add(prefix + x, tweak))
    theirs = or_none(lambda: bytes(wallycore.ec_public_key_tweak(prefix + x, tweak)))
    if len(prefix + x) == 33:
        assert ours == theirs
        assert is_point(prefix + x) is (or_none(lambda: verified(prefix + x)) is not None)


def verified(pubkey: bytes) -> bool:
    wallycore.ec_public_key_verify(pubkey)
    return True


@given(bytes32 | edges, bytes32 | edges)
def test_adding_a_tweak_to_an_x_coordinate_agrees(x: bytes, tweak: bytes) -> None:
    ours = or_none(lambda: xonly_add(x, tweak))
    theirs = or_none(lambda: bytes(wallycore.ec_public_key_tweak(b"\x02" + x, tweak)))
    assert ours == (None if theirs is None else (theirs[1:], theirs[0] & 1))


@given(secrets, st.just(b"") | bytes32)
def test_taproot_output_keys_agree(secret: bytes, root: bytes) -> None:
    pubkey = pubkey_from_secret(secret)
    theirs = bytes(wallycore.ec_public_key_bip341_tweak(pubkey, root or None, 0))
    assert output_key(pubkey[1:], root) == (theirs[1:], theirs[0] & 1)


@given(secrets, bytes32, st.integers(0, 63), st.integers(0, 255))
def test_schnorr_signatures_verify_alike(secret: bytes, message: bytes, at: int, flip: int) -> None:
    pubkey = pubkey_from_secret(secret)[1:]
    signature = bytearray(schnorr_sign(message, secret))
    signature[at] ^= flip
    ours = schnorr_verify(bytes(signature), message, pubkey)
    theirs = or_none(
        lambda: (
            wallycore.ec_sig_verify(pubkey, message, wallycore.EC_FLAG_SCHNORR, bytes(signature))
            or True
        )
    )
    assert ours is (theirs is not None) is (flip == 0)


@given(secrets, bytes32)
def test_ecdsa_signatures_verify_alike(secret: bytes, message: bytes) -> None:
    pubkey = pubkey_from_secret(secret)
    der = ecdsa_sign(message, secret)
    compact = bytes(wallycore.ec_sig_from_der(der))
    wallycore.ec_sig_verify(pubkey, message, wallycore.EC_FLAG_ECDSA, compact)
    assert ecdsa_verify(der, message, pubkey)
    assert not ecdsa_verify(der, message[::-1] + message, pubkey)
    other = bytes([message[0] ^ 1]) + message[1:]
    assert not ecdsa_verify(der, other, pubkey)


@given(secrets, bytes32)
def test_a_high_s_verifies_as_in_a_block(secret: bytes, message: bytes) -> None:
    pubkey = pubkey_from_secret(secret)
    compact = bytes(wallycore.ec_sig_from_der(ecdsa_sign(message, secret)))
    high = ORDER - int.from_bytes(compact[32:], "big")
    der = bytes(wallycore.ec_sig_to_der(compact[:32] + high.to_bytes(32, "big")))
    assert ecdsa_verify(der, message, pubkey)
    assert not ecdsa_verify(der, bytes([message[0] ^ 1]) + message[1:], pubkey)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3))
def test_children_of_the_root_key_agree(path: list[int]) -> None:
    ours, theirs = parse_xpub(ROOT), wallycore.bip32_key_from_base58(ROOT)
    for index in path:
        ours = ours.child(index)
        theirs = wallycore.bip32_key_from_parent(theirs, index, wallycore.BIP32_FLAG_KEY_PUBLIC)
    assert ours.pubkey == bytes(wallycore.bip32_key_get_pub_key(theirs))
    assert ours.chain_code == bytes(wallycore.bip32_key_get_chain_code(theirs))


def test_a_hardened_child_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_xpub(ROOT).child(2**31)


def stories() -> list[Any]:
    entries: list[Any] = []
    for name in ("invest", "seeders", "fund", "subscribe"):
        story = json.loads((ANGOR / f"scenario_{name}.json").read_text())
        wanted = [
            transaction for transaction in story["transactions"] if len(transaction["prevouts"]) > 1
        ]
        entries.extend(pytest.param(row, id=f"{name}-{row['label']}") for row in wanted)
    return entries


@pytest.mark.parametrize("entry", stories())
def test_taproot_signature_messages_agree(entry: dict[str, Any]) -> None:
    raw = bytes.fromhex(entry["hex"])
    # libwally answers for taproot outputs only: every input spends one here.
    scripts = [p2tr(bytes([at]) * 32) for at, _ in enumerate(entry["prevouts"])]
    amounts = [prevout["value"] for prevout in entry["prevouts"]]
    spending = Spending(parse_tx(raw), tuple(map(TxOut, amounts, scripts)))
    theirs = wallycore.tx_from_bytes(raw, wallycore.WALLY_TX_FLAG_USE_WITNESS)
    wrapped = wallycore.map_init(len(scripts), None)
    for at, script in enumerate(scripts):
        wallycore.map_add_integer(wrapped, at, script)
    every = product(range(len(scripts)), TAPROOT_TYPES, (None, b"\x50note"), (None, LEAF))
    for vin, hash_type, annex, leaf in every:
        if hash_type & 3 == 3 and vin >= len(spending.tx.outputs):
            continue  # no such message; test_sighash has the refusal
        hash_of = None if leaf is None else leaf_hash(leaf)
        ours = taproot_sighash(spending, vin, hash_type, leaf_hash=hash_of, annex=annex)
        message = wallycore.tx_get_btc_taproot_signature_hash(
            theirs, vin, wrapped, amounts, leaf, 0, NO_CODE_SEPARATOR, annex, hash_type, 0
        )
        assert ours == bytes(message)


@pytest.mark.parametrize("entry", stories())
def test_version_0_signature_messages_agree(entry: dict[str, Any]) -> None:
    raw = bytes.fromhex(entry["hex"])
    spent = [
        TxOut(prevout["value"], bytes.fromhex(prevout["scriptPubKey"]))
        for prevout in entry["prevouts"]
    ]
    spending = Spending(parse_tx(raw), tuple(spent))
    theirs = wallycore.tx_from_bytes(raw, wallycore.WALLY_TX_FLAG_USE_WITNESS)
    for vin, hash_type in product(range(len(spent)), (1, 2, 3, 0x81, 0x82, 0x83)):
        message = wallycore.tx_get_btc_signature_hash(
            theirs, vin, LEAF, spent[vin].value, hash_type, wallycore.WALLY_TX_FLAG_USE_WITNESS
        )
        assert segwit_sighash(spending, vin, hash_type, LEAF) == bytes(message)


@given(
    st.sampled_from(["TapLeaf", "TapBranch", "TapTweak", "TapSighash"]),
    st.binary(min_size=1, max_size=99),
)
def test_tagged_hashes_agree(tag: str, data: bytes) -> None:
    assert tagged(tag, data) == bytes(wallycore.bip340_tagged_hash(data, tag))

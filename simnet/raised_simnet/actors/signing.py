"""What signatures sign, for the actors. Written apart from the product's own rules on purpose."""

from collections.abc import Sequence
from typing import Final

from raised.domain.bitcoin.hashes import hash160, sha256, sha256d, tagged
from raised.domain.bitcoin.tx import Tx, TxOut, serialize_outpoint, serialize_output, varbytes

ALL: Final = 0x01
NONE: Final = 0x02
SINGLE: Final = 0x03
ANYONE_CAN_PAY: Final = 0x80
_LEAF_VERSION: Final = b"\xc0"


def with_witness(tx: Tx, vin: int, items: Sequence[bytes]) -> Tx:
    """The transaction with this witness on one input."""
    inputs = list(tx.inputs)
    inputs[vin] = inputs[vin]._replace(witness=tuple(items))
    return Tx(tx.version, tuple(inputs), tx.outputs, tx.locktime)


def p2wpkh_script_code(pubkey: bytes) -> bytes:
    """The script that a P2WPKH signature stands for. Source: BIP143."""
    return b"\x76\xa9\x14" + hash160(pubkey) + b"\x88\xac"


def bip143_digest(tx: Tx, vin: int, script_code: bytes, value: int) -> bytes:
    """The 32 bytes that a SIGHASH_ALL signature of a version 0 witness signs. Source: BIP143."""
    txin = tx.inputs[vin]
    outpoints = b"".join(serialize_outpoint(i.outpoint) for i in tx.inputs)
    preimage = (
        _uint32(tx.version),
        sha256d(outpoints),
        sha256d(_sequences(tx)),
        serialize_outpoint(txin.outpoint),
        varbytes(script_code),
        value.to_bytes(8, "little"),
        _uint32(txin.sequence),
        sha256d(b"".join(map(serialize_output, tx.outputs))),
        _uint32(tx.locktime),
        _uint32(ALL),
    )
    return sha256d(b"".join(preimage))


def leaf_hash(script: bytes) -> bytes:
    """The hash of one tapleaf of version 0xc0. Source: BIP341."""
    return tagged("TapLeaf", _LEAF_VERSION + varbytes(script))


def tapscript_digest(
    tx: Tx, vin: int, spent: Sequence[TxOut], leaf_script: bytes, hash_type: int
) -> bytes:
    """The 32 bytes a signature in a tapscript signs. `spent`: the outputs of all inputs, in order.

    Source: BIP341, BIP342.
    """
    extension = leaf_hash(leaf_script) + b"\x00" + _uint32(0xFFFFFFFF)
    return _taproot_digest(tx, vin, spent, hash_type, extension)


def keypath_digest(tx: Tx, vin: int, spent: Sequence[TxOut], hash_type: int = 0) -> bytes:
    """The 32 bytes a key-path signature signs. Source: BIP341."""
    return _taproot_digest(tx, vin, spent, hash_type, b"")


def _taproot_digest(
    tx: Tx, vin: int, spent: Sequence[TxOut], hash_type: int, extension: bytes
) -> bytes:
    spend_type = b"\x02" if extension else b"\x00"
    head = b"\x00" + bytes([hash_type]) + _uint32(tx.version) + _uint32(tx.locktime)
    parts = [head, _all_inputs(tx, spent, hash_type), _all_outputs(tx, hash_type), spend_type]
    parts.append(_this_input(tx, vin, spent, hash_type))
    if hash_type & 3 == SINGLE:
        parts.append(sha256(serialize_output(tx.outputs[vin])))
    return tagged("TapSighash", b"".join([*parts, extension]))


def _all_inputs(tx: Tx, spent: Sequence[TxOut], hash_type: int) -> bytes:
    if hash_type & ANYONE_CAN_PAY:
        return b""
    outpoints = b"".join(serialize_outpoint(i.outpoint) for i in tx.inputs)
    amounts = b"".join(o.value.to_bytes(8, "little") for o in spent)
    scripts = b"".join(varbytes(o.script_pubkey) for o in spent)
    return b"".join(map(sha256, (outpoints, amounts, scripts, _sequences(tx))))


def _all_outputs(tx: Tx, hash_type: int) -> bytes:
    if hash_type & 3 in (NONE, SINGLE):
        return b""
    return sha256(b"".join(map(serialize_output, tx.outputs)))


def _this_input(tx: Tx, vin: int, spent: Sequence[TxOut], hash_type: int) -> bytes:
    if not hash_type & ANYONE_CAN_PAY:
        return _uint32(vin)
    txin = tx.inputs[vin]
    return serialize_outpoint(txin.outpoint) + serialize_output(spent[vin]) + _uint32(txin.sequence)


def _sequences(tx: Tx) -> bytes:
    return b"".join(_uint32(i.sequence) for i in tx.inputs)


def _uint32(value: int) -> bytes:
    return value.to_bytes(4, "little")

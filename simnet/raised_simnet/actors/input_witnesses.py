"""The witnesses that actors write: signatures by their keys over the digests of `signing`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.curve import ecdsa_sign, schnorr_sign
from raised.domain.bitcoin.tx import Tx, TxOut
from raised_simnet.actors.keys import Key
from raised_simnet.actors.signing import (
    bip143_digest,
    p2wpkh_script_code,
    tapscript_digest,
    with_witness,
)

ALL: Final = 0x01
SINGLE_ANYONE: Final = 0x83

Witness = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Spending:
    """A transaction about to be signed, with the outputs it spends, input by input."""

    tx: Tx
    spent: tuple[TxOut, ...]


def leaf_signature(spending: Spending, vin: int, script: bytes, key: Key, hash_type: int) -> bytes:
    """65 bytes: the signature of the tweaked key for this leaf, and its hash type."""
    digest = tapscript_digest(spending.tx, vin, spending.spent, script, hash_type)
    return schnorr_sign(digest, key.leaf_secret) + bytes([hash_type])


def script_signature(spending: Spending, vin: int, script: bytes, key: Key) -> bytes:
    """A DER signature of the plain key for a version-0 witness script, and its hash type."""
    digest = bip143_digest(spending.tx, vin, script, spending.spent[vin].value)
    return ecdsa_sign(digest, key.secret) + bytes([ALL])


def address_witness(spending: Spending, vin: int, key: Key) -> Witness:
    """What spends an ordinary address (P2WPKH) of this key."""
    code = p2wpkh_script_code(key.public)
    return script_signature(spending, vin, code, key), key.public


def with_witnesses(tx: Tx, witnesses: Sequence[Witness]) -> Tx:
    """The transaction with one witness for each input."""
    assert len(witnesses) == len(tx.inputs), "one witness for each input"
    for vin, witness in enumerate(witnesses):
        tx = with_witness(tx, vin, witness)
    return tx

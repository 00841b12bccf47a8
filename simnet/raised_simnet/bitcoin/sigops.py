"""What a transaction reveals: the script of each input and its signature operations."""

from collections.abc import Sequence
from typing import Final

from raised.domain.bitcoin.script import is_p2tr, is_p2wpkh, is_p2wsh, parse_ops
from raised.domain.bitcoin.tx import Tx, TxIn, TxOut
from raised.errors import InvalidInput

_CHECKSIGS: Final = (0xAC, 0xAD)
_LEGACY_COST: Final = 4
_ANNEX: Final = b"\x50"


def revealed_script(txin: TxIn, spent: TxOut) -> bytes | None:
    """The witness script or tapleaf that an input shows."""
    items = txin.witness
    if is_p2wsh(spent.script_pubkey) and items:
        return items[-1]
    if not is_p2tr(spent.script_pubkey):
        return None
    if len(items) > 1 and items[-1][:1] == _ANNEX:
        items = items[:-1]
    return items[-2] if len(items) > 1 else None


def sigops(tx: Tx, spent: Sequence[TxOut | None]) -> int:
    """The cost in signature operations, without P2SH and multisig. Source: BIP141."""
    legacy = sum(_count(output.script_pubkey) for output in tx.outputs)
    witness = sum(_input_sigops(i, o) for i, o in zip(tx.inputs, spent, strict=True) if o)
    return _LEGACY_COST * legacy + witness


def _input_sigops(txin: TxIn, spent: TxOut) -> int:
    if is_p2wpkh(spent.script_pubkey):
        return 1
    return _count(txin.witness[-1]) if is_p2wsh(spent.script_pubkey) and txin.witness else 0


def _count(script: bytes) -> int:
    try:
        return sum(opcode in _CHECKSIGS for opcode, _ in parse_ops(script))
    except InvalidInput:
        return 0

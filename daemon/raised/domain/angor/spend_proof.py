"""Check spends by their signatures: a txid does not cover the witness, so it proves no spend."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from raised.domain.bitcoin.script import is_p2wsh, p2wsh
from raised.domain.bitcoin.sighash import (
    SIGHASH_ANYONECANPAY,
    SIGHASH_SINGLE,
    Spending,
    verify_spend,
)
from raised.domain.bitcoin.taproot import LEAF_VERSION, program_of, revealed_leaf, split_annex
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised.errors import InvalidInput

_PAIRED: Final = SIGHASH_SINGLE | SIGHASH_ANYONECANPAY
_UNSEEN: Final = TxOut(0, b"")
_KEY: Final = rb"\x20.{32}"
_NUMBER: Final = rb"(?:[\x00\x51-\x60]|\x01.|\x02.{2}|\x03.{3}|\x04.{4}|\x05.{5})"
# The script forms of docs/angor.md 8.3 and 10.3.
_LEAF: Final = re.compile(
    rb"%(key)b\xad%(number)b\xb1"  # founder, end of project
    rb"|%(key)b\xad%(key)b\xac"  # recover
    rb"|%(key)b\xad%(key)b\xad\xaa%(key)b\x87"  # recover of a seeder
    rb"|(?:\xaa%(key)b\x88)+%(key)b\xac" % {b"key": _KEY, b"number": _NUMBER},  # seeder secrets
    re.DOTALL,
)
_PENALTY: Final = re.compile(rb"\x21.{33}\xad" + _NUMBER + rb"\xb2", re.DOTALL)


def disproved_inputs(
    tx: Tx, vins: Iterable[int], output: Callable[[OutPoint], TxOut | None]
) -> tuple[int, ...]:
    """Which of these inputs, whose outputs are known, have a witness that is proven wrong.

    `output` looks up known outputs. Where that of another input is unknown only signatures that do
    not cover the other inputs can be checked; the others count as valid.
    """
    outputs = [output(txin.outpoint) for txin in tx.inputs]
    spending = Spending(tx, tuple(output or _UNSEEN for output in outputs))
    complete = None not in outputs
    return tuple(vin for vin in vins if _is_wrong(spending, vin, complete=complete))


def is_forged(spending: Spending, vin: int) -> bool:
    """Whether the witness of this input of a watched coin is proven to be no valid spend of it.

    A watched coin need not be Angor's: anybody may put a taproot output after a key, and change may
    go to any P2WSH. If the output commits to a script of another form it is not Angor's, and its
    signatures, which may be of kinds that we do not verify, decide nothing.
    """
    return not (_is_foreign(spending, vin) or verify_spend(spending, vin))


def _is_foreign(spending: Spending, vin: int) -> bool:
    witness, script_pubkey = spending.tx.inputs[vin].witness, spending.spent[vin].script_pubkey
    if not _is_committed(witness, script_pubkey):
        return False
    if is_p2wsh(script_pubkey):
        return not _PENALTY.fullmatch(witness[-1])
    leaf = revealed_leaf(witness, program_of(script_pubkey))
    if leaf is None:
        return False
    return leaf.control_block[0] & 0xFE != LEAF_VERSION or not _LEAF.fullmatch(leaf.script)


def _is_wrong(spending: Spending, vin: int, *, complete: bool) -> bool:
    witness = spending.tx.inputs[vin].witness
    if complete or _is_paired(witness):
        return not verify_spend(spending, vin)
    return not _is_committed(witness, spending.spent[vin].script_pubkey)


def _is_committed(witness: tuple[bytes, ...], script_pubkey: bytes) -> bool:
    """Whether the output commits to the script that the witness shows, if it shows one."""
    if is_p2wsh(script_pubkey):
        return bool(witness) and p2wsh(witness[-1]) == script_pubkey
    try:
        revealed_leaf(witness, program_of(script_pubkey))
    except InvalidInput:
        return False
    return True


def _is_paired(witness: tuple[bytes, ...]) -> bool:
    """Whether a leaf's signatures are there and all cover their own input and output alone."""
    stack = split_annex(witness)[0][:-2]  # behind it: the leaf and its control block
    types = {item[64] for item in stack if len(item) == 65}
    return types == {_PAIRED}

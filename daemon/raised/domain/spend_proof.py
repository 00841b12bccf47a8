"""What proves a spend: a txid does not cover the witness, so only the signatures do."""

from collections.abc import Callable, Iterable
from typing import Final

from raised.domain.script import is_p2wsh, p2wsh
from raised.domain.sighash import SIGHASH_ANYONECANPAY, SIGHASH_SINGLE, Spending, verify_spend
from raised.domain.taproot import program_of, revealed_leaf, split_annex
from raised.domain.tx import OutPoint, Tx, TxOut
from raised.errors import InvalidInput

_PAIRED: Final = SIGHASH_SINGLE | SIGHASH_ANYONECANPAY
_UNSEEN: Final = TxOut(0, b"")


def disproved(
    tx: Tx, vins: Iterable[int], output: Callable[[OutPoint], TxOut | None]
) -> tuple[int, ...]:
    """Which of these inputs, each of a known output, carry a witness that is shown to be wrong.

    `output` gives the outputs that are known. Where another input's is not, only signatures that
    leave the other inputs out can be checked; the rest gets the benefit of the doubt.
    """
    outputs = [output(txin.outpoint) for txin in tx.inputs]
    spending = Spending(tx, tuple(one or _UNSEEN for one in outputs))
    complete = None not in outputs
    return tuple(vin for vin in vins if _is_wrong(spending, vin, complete=complete))


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

"""Which outputs are watched on the chain: decided by structure alone.

Whether a transaction is an investment depends on the project's event, which may come years later;
that an output was spent never changes. So the chain source reports, and the record keeps,
everything that could matter, by this rule:

- a transaction that pays a project, or founds one, and names a key at output 1 makes a *stage coin*
  of each taproot output after that (docs/angor.md 7.1);
- a transaction that spends a stage coin makes a *penalty coin* of its P2WSH output beside that
  input, if there is one (docs/angor.md 10.1, 10.2);
- who spends a stage coin or a penalty coin is worth reporting.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from raised.domain.angor.op_return import begins_with_key
from raised.domain.bitcoin.script import is_p2tr, is_p2wsh
from raised.domain.bitcoin.tx import Tx

FIRST_STAGE_VOUT: Final = 2


class CoinKind(StrEnum):
    """What a watched outpoint may be, by its script_pubkey (`kind_of_coin`)."""

    STAGE = "stage"
    PENALTY = "penalty"


@dataclass(frozen=True, slots=True)
class NewCoin:
    """An output to watch. A penalty coin stands beside the input with the same number: it belongs
    to whatever the coin spent there belongs to.
    """

    vout: int
    value: int
    script_pubkey: bytes
    kind: CoinKind


def kind_of_coin(script_pubkey: bytes) -> CoinKind:
    """The kind of a watched coin: penalty coins are P2WSH, stage coins taproot."""
    return CoinKind.PENALTY if is_p2wsh(script_pubkey) else CoinKind.STAGE


def names_key(tx: Tx) -> bool:
    """Whether output 1 is an OP_RETURN that begins with a push of 33 bytes, whatever follows."""
    return len(tx.outputs) > 1 and begins_with_key(tx.outputs[1].script_pubkey)


def names_any_key(tx: Tx) -> bool:
    """Whether any output is such an OP_RETURN: without one it neither founds, nor invests, nor is
    shown as a rejected investment.
    """
    return any(begins_with_key(output.script_pubkey) for output in tx.outputs)


def coins_made(
    tx: Tx, *, pays_project: bool, spent: Iterable[tuple[int, CoinKind]]
) -> tuple[NewCoin, ...]:
    """The outputs of a transaction to watch from now on, by output number.

    `pays_project`: some output pays a known project (a founding transaction does, too). `spent`:
    the watched coins it spends, as (input number, kind).
    """
    beside = {vin for vin, kind in spent if kind is CoinKind.STAGE}
    stages = pays_project and names_key(tx)
    coins: list[NewCoin] = []
    for vout, (value, script) in enumerate(tx.outputs):
        if stages and vout >= FIRST_STAGE_VOUT and is_p2tr(script):
            coins.append(NewCoin(vout, value, script, CoinKind.STAGE))
        elif vout in beside and is_p2wsh(script):
            coins.append(NewCoin(vout, value, script, CoinKind.PENALTY))
    return tuple(coins)

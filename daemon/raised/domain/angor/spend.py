"""What the spend of a stage output meant: named by the leaf that its witness revealed.

Source: docs/angor.md 10.2.
"""

from dataclasses import dataclass
from enum import StrEnum

from raised.domain.angor.investment import Investment
from raised.domain.angor.penalty import MAX_PENALTY_DAYS, penalty_script
from raised.domain.angor.stage_output import StageOutput
from raised.domain.bitcoin.taproot import program_of, revealed_leaf
from raised.domain.bitcoin.tx import Tx


class SpendKind(StrEnum):
    """How a stage output ended. `unknown`: by its key path, which nobody should be able to use."""

    CLAIM = "claim"
    RECOVERY = "recovery"
    UNFUNDED_RELEASE = "unfunded_release"
    PENALTY_FREE_RECOVERY = "penalty_free_recovery"
    END_OF_PROJECT = "end_of_project"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Spend:
    """What a spend meant, with its proof: script and control block, None for the key path.

    `penalty_vout`: the output of the spending transaction that holds the coins in penalty.
    """

    kind: SpendKind
    script: bytes | None = None
    control_block: bytes | None = None
    penalty_vout: int | None = None


def classify(investment: Investment, stage: StageOutput, tx: Tx, vin: int) -> Spend:
    """What it meant that input `vin` of `tx` spent this stage of the investment.

    Raises InvalidInput when the output does not commit to the script that the witness shows: then
    the witness was made up, for no block holds it.
    """
    leaf = revealed_leaf(tx.inputs[vin].witness, program_of(stage.script_pubkey))
    if leaf is None:
        return Spend(SpendKind.UNKNOWN)
    kind, penalty_vout = _kind_of(leaf.script, stage), None
    if kind is SpendKind.RECOVERY:
        # Signatures cover the output beside their input (SINGLE): pairs may be in any order.
        penalty_vout = vin if _pays_penalty(investment, tx, vin) else None
        kind = SpendKind.UNFUNDED_RELEASE if penalty_vout is None else kind
    return Spend(kind, leaf.script, leaf.control_block, penalty_vout)


def _kind_of(script: bytes, stage: StageOutput) -> SpendKind:
    leaves = stage.leaves
    if script == leaves.founder:
        return SpendKind.CLAIM
    if script == leaves.recover:
        return SpendKind.RECOVERY
    if script == leaves.end:
        return SpendKind.END_OF_PROJECT
    assert script in leaves.seeders, "the output commits to its leaves and nothing else"
    return SpendKind.PENALTY_FREE_RECOVERY


def _pays_penalty(investment: Investment, tx: Tx, vin: int) -> bool:
    if vin >= len(tx.outputs) or not 0 <= investment.penalty_days <= MAX_PENALTY_DAYS:
        return False
    expected = penalty_script(investment.investor_key, investment.penalty_days)
    return tx.outputs[vin].script_pubkey == expected

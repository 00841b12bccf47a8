"""Recognise investments: transactions whose stage outputs are exactly the scripts of the terms.

Nothing is accepted by structure: the scripts are recomputed from the committed terms and the
investor's key. When all match, the coins are locked and count, whatever else is unusual.
Source: docs/angor.md 7 and 9.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from raised.domain.angor.amounts import AMOUNT_SPLIT, FEE_AMOUNT, amount_flags
from raised.domain.angor.date_variants import (
    DateVariant,
    date_variants,
    expiries,
    may_hide_time_of_day,
    percents,
    releases,
)
from raised.domain.angor.identifier import project_script
from raised.domain.angor.op_return import InvestorMark, parse_investor_mark
from raised.domain.angor.stage_output import (
    INTERNAL_KEYS,
    StageOutput,
    Trunk,
    end_leaf,
    leaf_key,
    recover_leaf,
    seeder_leaves,
    trunk,
)
from raised.domain.angor.terms import Terms
from raised.domain.bitcoin.script import OP_RETURN, is_p2tr, p2tr
from raised.domain.bitcoin.tx import Tx, Txid, TxOut
from raised.errors import InvalidInput

FIRST_STAGE_VOUT: Final = 2
DUST_SATS: Final = 330
BELOW_DUST: Final = "below_dust"
_BURNED: Final = p2tr(bytes(32))


class Reason(StrEnum):
    """Why a transaction is no investment, in the order of the checks."""

    NO_OP_RETURN = "no_op_return"
    BAD_OP_RETURN = "bad_op_return"
    BAD_INVESTOR_KEY = "bad_investor_key"
    WRONG_FEE_OUTPUT = "wrong_fee_output"
    BAD_DYNAMIC_INFO = "bad_dynamic_info"
    MISSING_STAGE = "missing_stage"
    BURNED_OUTPUTS = "burned_outputs"
    LEGACY_UNVERIFIABLE = "legacy_unverifiable"
    NOT_STAGE_SCRIPTS = "not_stage_scripts"


@dataclass(frozen=True, slots=True)
class Investment:
    """Coins locked by the scripts of a project; `flags` name what is unusual but counted."""

    txid: Txid
    project_id: str
    investor_key: bytes
    secret_hash: bytes | None
    fee_sats: int
    stages: tuple[StageOutput, ...]
    flags: tuple[str, ...]
    penalty_days: int

    @property
    def seeder(self) -> bool:
        """Whether the investor is a seeder, who committed to a secret."""
        return self.secret_hash is not None

    @property
    def amount_sats(self) -> int:
        """Sum of the stage outputs in sats, without the fee to the project's address."""
        return sum(stage.value_sats for stage in self.stages)


@dataclass(frozen=True, slots=True)
class RejectedInvestment:
    """A transaction that is no investment of the project, and why."""

    txid: Txid
    reason: Reason


@dataclass(frozen=True, slots=True)
class _ScriptVariant:
    """One combination of dates, leaves and internal key that the scripts may be built from."""

    variant: DateVariant
    releases: tuple[int, ...]
    expiry_at: int
    trunk: Trunk
    internal_key: bytes


def recognise(terms: Terms, tx: Tx) -> Investment | RejectedInvestment:
    """The investment that this transaction is under these terms, or why it is none.

    The work is bounded whatever terms and transaction contain: stages by the outputs that exist,
    seeder leaves by what clients build, variants by docs/angor.md 9.3.
    """
    mark = _investor_mark(tx)
    if isinstance(mark, Reason):
        return RejectedInvestment(tx.txid, mark)
    if tx.outputs[0].script_pubkey != project_script(terms.project_id):
        return RejectedInvestment(tx.txid, Reason.WRONG_FEE_OUTPUT)
    possible = [
        date_variant
        for date_variant in date_variants(terms, mark.dynamic)
        if _has_stages(tx, date_variant)
    ]
    for variant in _script_variants(terms, tx, mark, possible):
        if _matches(terms, tx, variant):
            return _investment(terms, tx, mark, variant)
    return RejectedInvestment(tx.txid, _mismatch(terms, tx, mark, possible))


def _investor_mark(tx: Tx) -> InvestorMark | Reason:
    if len(tx.outputs) < FIRST_STAGE_VOUT or tx.outputs[1].script_pubkey[:1] != bytes([OP_RETURN]):
        return Reason.NO_OP_RETURN
    try:
        return parse_investor_mark(tx.outputs[1].script_pubkey)
    except InvalidInput as error:
        return Reason(error.args[0])


def _stage_outputs(tx: Tx, variant: DateVariant) -> tuple[TxOut, ...]:
    return tx.outputs[FIRST_STAGE_VOUT : FIRST_STAGE_VOUT + max(variant.stage_count, 0)]


def _has_stages(tx: Tx, variant: DateVariant) -> bool:
    stages = _stage_outputs(tx, variant)
    full = 0 < len(stages) == variant.stage_count
    return full and all(is_p2tr(output.script_pubkey) for output in stages)


def _script_variants(
    terms: Terms, tx: Tx, mark: InvestorMark, variants: list[DateVariant]
) -> Iterator[_ScriptVariant]:
    for variant in variants:
        gross = tx.outputs[0].value + sum(
            stage_output.value for stage_output in _stage_outputs(tx, variant)
        )
        dates = tuple(dict.fromkeys(releases(terms, mark.dynamic, variant)))
        for expiry_at in expiries(terms, gross):
            for shared in _trunks(terms, mark, expiry_at):
                for internal_key in INTERNAL_KEYS:
                    for release_ats in dates:
                        yield _ScriptVariant(variant, release_ats, expiry_at, shared, internal_key)


def _trunks(terms: Terms, mark: InvestorMark, expiry_at: int) -> Iterator[Trunk]:
    """With seeder leaves, then without: some apps drop a project's seeders (docs/angor.md 8.4)."""
    investor = leaf_key(mark.investor_key)
    recover = recover_leaf(leaf_key(terms.founder_recovery_key), investor, mark.secret_hash)
    end = end_leaf(investor, expiry_at)
    if mark.secret_hash is None:
        seeders = seeder_leaves(investor, terms.seeders.secret_hashes, terms.seeders.threshold)
        if seeders:
            yield trunk(recover, end, seeders)
    yield trunk(recover, end)


def _matches(terms: Terms, tx: Tx, variant: _ScriptVariant) -> bool:
    founder = leaf_key(terms.founder_key)
    stages = _stage_outputs(tx, variant.variant)
    return all(
        variant.trunk.output_key(founder, release_at, variant.internal_key)
        == output.script_pubkey[2:]
        for output, release_at in zip(stages, variant.releases, strict=True)
    )


def _investment(terms: Terms, tx: Tx, mark: InvestorMark, variant: _ScriptVariant) -> Investment:
    founder = leaf_key(terms.founder_key)
    outputs = _stage_outputs(tx, variant.variant)
    stages = tuple(
        StageOutput(
            index,
            FIRST_STAGE_VOUT + index,
            output.value,
            release_at,
            variant.expiry_at,
            output.script_pubkey,
            variant.trunk.leaves(founder, release_at),
            variant.internal_key,
        )
        for index, (output, release_at) in enumerate(zip(outputs, variant.releases, strict=True))
    )
    return Investment(
        tx.txid,
        terms.project_id,
        mark.investor_key,
        mark.secret_hash,
        tx.outputs[0].value,
        stages,
        _flags(terms, tx, variant.variant),
        terms.penalty_days,
    )


def _mismatch(terms: Terms, tx: Tx, mark: InvestorMark, possible: list[DateVariant]) -> Reason:
    if not any(variant.by_id for variant in date_variants(terms, mark.dynamic)):
        return Reason.BAD_DYNAMIC_INFO
    if not possible:
        return Reason.MISSING_STAGE
    if any(output.script_pubkey == _BURNED for output in _stage_outputs(tx, possible[0])):
        return Reason.BURNED_OUTPUTS
    # With the right amounts it may be honest or a look-alike: the chain alone cannot show which.
    hidden = [variant for variant in possible if may_hide_time_of_day(mark.dynamic, variant)]
    if any(not {AMOUNT_SPLIT, FEE_AMOUNT} & set(_flags(terms, tx, variant)) for variant in hidden):
        return Reason.LEGACY_UNVERIFIABLE
    return Reason.NOT_STAGE_SCRIPTS


def _flags(terms: Terms, tx: Tx, variant: DateVariant) -> tuple[str, ...]:
    values = [output.value for output in _stage_outputs(tx, variant)]
    odd = amount_flags(tx.outputs[0].value, values, percents(terms, variant))
    return (*odd, BELOW_DUST) if min(values) < DUST_SATS else odd

"""How an investment stands: what the chain makes of one transaction that pays a project.

Decided anew from the facts whenever one of them changes, so the order in which they came, and
whatever was believed before, leave no trace. Source: design.md 5; angor.md 7, 10, 13.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment import Investment, RejectedInvestment, recognise
from raised.domain.angor.op_return import parse_investor_mark
from raised.domain.angor.penalty import MAX_PENALTY_DAYS, matures_at
from raised.domain.angor.spend import SpendKind, classify
from raised.domain.angor.stage_output import StageOutput
from raised.domain.angor.terms import ProjectType, Terms
from raised.domain.bitcoin.script import OP_RETURN
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.ledger import MSATS, AngorKind, LedgerRow
from raised.errors import InvalidInput

InvestmentStatus = Literal["unconfirmed", "confirmed", "dropped", "unverified", "rejected"]
PenaltyState = Literal["in_penalty", "penalty_matured", "penalty_released"]

LOCKED: Final = "locked"


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the best chain ends, and how deep a block must be to count."""

    height: int
    hash: str
    confirmations: int
    median_time: int | None = None

    def is_deep(self, place: "Place | None") -> bool:
        """Whether what stands there counts."""
        return place is not None and self.height - place.height + 1 >= self.confirmations


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction stands on the best chain. `prior_median_time`: before its block."""

    height: int
    block_hash: str
    position: int
    at: int
    prior_median_time: int | None = None


@dataclass(frozen=True, slots=True)
class StoredTx:
    """A transaction that we hold. `gone`: it was unconfirmed and is nowhere any more."""

    tx: Tx
    place: Place | None
    first_seen_at: int
    gone: bool


@dataclass(frozen=True, slots=True)
class InvestmentContext:
    """What an investment is measured against.

    `terms` is None while nobody knows the project's event, or it is bad; `counts` while its
    founding transaction is deep enough.
    """

    project_id: str
    terms: Terms | None
    counts: bool
    founding: Place | None


@dataclass(frozen=True, slots=True)
class Spender:
    """The input that spends an outpoint."""

    held: StoredTx
    vin: int


@dataclass(frozen=True, slots=True)
class SpentBy:
    """How an output left, as far as the chain shows: without height and time while unconfirmed."""

    txid: Txid
    vin: int
    height: int | None
    at: int | None


@dataclass(frozen=True, slots=True)
class PenaltyOutput:
    """A penalty output: `value_sats` is that of the stage output that went in."""

    outpoint: OutPoint
    value_sats: int
    state: PenaltyState
    matures_at: int | None
    released: SpentBy | None


@dataclass(frozen=True, slots=True)
class StageState:
    """A stage output and what became of it; `state` is `locked` or the kind of its spend."""

    stage: StageOutput
    state: str
    spent: SpentBy | None
    penalty: PenaltyOutput | None


@dataclass(frozen=True, slots=True)
class InvestmentState:
    """All the record says about one investment, and the rows that must stand in the ledger."""

    txid: Txid
    project_id: str
    status: InvestmentStatus
    reason: str | None
    flags: tuple[str, ...]
    investor_key: str | None
    seeder: bool
    amount_sats: int
    fee_sats: int
    place: Place | None
    at: int
    stages: tuple[StageState, ...] = ()
    rows: tuple[LedgerRow, ...] = field(default=())


def spender_of(spenders: Iterable[Spender]) -> Spender | None:
    """The one that counts among those that spend an outpoint: the one on the best chain, else the
    newest that is still somewhere.
    """
    live = [
        spender for spender in spenders if not spender.held.gone or spender.held.place is not None
    ]
    placed = [spender for spender in live if spender.held.place is not None]
    if placed:
        return placed[0]
    return max(
        live, key=lambda spender: (spender.held.first_seen_at, spender.held.tx.txid), default=None
    )


def evaluate_investment(
    basis: InvestmentContext, held: StoredTx, spenders: Mapping[OutPoint, Spender], tip: Tip
) -> InvestmentState:
    """How the transaction stands. `spenders` hold who spends its stage and penalty outputs."""
    if basis.terms is None:
        return _unverified(basis, held)
    found = recognise(basis.terms, held.tx)
    if isinstance(found, RejectedInvestment):
        return _other(basis, held, "rejected", found.reason)
    return _recognised(basis, found, held, spenders, tip)


def _unverified(basis: InvestmentContext, held: StoredTx) -> InvestmentState:
    """Without terms only what no terms could heal is rejected."""
    outputs = held.tx.outputs
    if len(outputs) < 2 or outputs[1].script_pubkey[:1] != bytes([OP_RETURN]):
        return _other(basis, held, "rejected", "no_op_return")
    try:
        mark = parse_investor_mark(outputs[1].script_pubkey)
    except InvalidInput as error:
        return _other(basis, held, "rejected", str(error.args[0]))
    if outputs[0].script_pubkey != project_script(basis.project_id):
        return _other(basis, held, "rejected", "wrong_fee_output")
    return _other(basis, held, "unverified", None, mark.investor_key)


def _other(
    basis: InvestmentContext,
    held: StoredTx,
    status: InvestmentStatus,
    reason: str | None,
    investor_key: bytes | None = None,
) -> InvestmentState:
    if held.place is None and held.gone:
        status, reason = "dropped", None
    return InvestmentState(
        txid=held.tx.txid,
        project_id=basis.project_id,
        status=status,
        reason=reason,
        flags=(),
        investor_key=None if investor_key is None else investor_key.hex(),
        seeder=False,
        amount_sats=0,
        fee_sats=_fee(basis, held.tx),
        place=held.place,
        at=_at(held),
    )


def _fee(basis: InvestmentContext, tx: Tx) -> int:
    script = project_script(basis.project_id)
    return sum(output.value for output in tx.outputs[:1] if output.script_pubkey == script)


def _at(held: StoredTx) -> int:
    return held.first_seen_at if held.place is None else held.place.at


def _recognised(
    basis: InvestmentContext,
    found: Investment,
    held: StoredTx,
    spenders: Mapping[OutPoint, Spender],
    tip: Tip,
) -> InvestmentState:
    stages = tuple(_stage(found, stage, spenders, tip) for stage in found.stages)
    status = _status(basis, held, tip)
    rows = _rows(basis, found, held, stages, spenders, tip) if status == "confirmed" else ()
    return InvestmentState(
        txid=found.txid,
        project_id=basis.project_id,
        status=status,
        reason=None,
        flags=found.flags + _circumstances(basis, held.place),
        investor_key=found.investor_key.hex(),
        seeder=found.seeder,
        amount_sats=found.amount_sats,
        fee_sats=found.fee_sats,
        place=held.place,
        at=_at(held),
        stages=stages,
        rows=rows,
    )


def _status(basis: InvestmentContext, held: StoredTx, tip: Tip) -> InvestmentStatus:
    if held.place is None and held.gone:
        return "dropped"
    return "confirmed" if basis.counts and tip.is_deep(held.place) else "unconfirmed"


def _circumstances(basis: InvestmentContext, place: Place | None) -> tuple[str, ...]:
    """The flags that follow from when it was mined."""
    if place is None or basis.terms is None:
        return ()
    flags: list[str] = []
    if basis.terms.type is ProjectType.INVEST and not _in_window(basis.terms, place.at):
        flags.append("outside_window")
    if basis.founding is not None and place.height < basis.founding.height:
        flags.append("before_founding")
    return tuple(flags)


def _in_window(terms: Terms, at: int) -> bool:
    return terms.start_at <= at and (terms.end_at is None or at <= terms.end_at)


def _stage(
    found: Investment, stage: StageOutput, spenders: Mapping[OutPoint, Spender], tip: Tip
) -> StageState:
    spender = spenders.get(OutPoint(found.txid, stage.vout))
    if spender is None:
        return StageState(stage, LOCKED, None, None)
    try:
        spend = classify(found, stage, spender.held.tx, spender.vin)
    except InvalidInput:  # a witness that was made up: no block holds it
        return StageState(stage, LOCKED, None, None)
    penalty = None
    if spend.kind is SpendKind.RECOVERY and spend.penalty_vout is not None:
        outpoint = OutPoint(spender.held.tx.txid, spend.penalty_vout)
        penalty = _penalty(found, stage, outpoint, spenders, (spender.held.place, tip))
    return StageState(stage, spend.kind.value, _spent_by(spender), penalty)


def _penalty(
    found: Investment,
    stage: StageOutput,
    outpoint: OutPoint,
    spenders: Mapping[OutPoint, Spender],
    recovered: tuple[Place | None, Tip],
) -> PenaltyOutput:
    place, tip = recovered
    release = spenders.get(outpoint)
    matures = _matures_at(found, place)
    state: PenaltyState = "in_penalty"
    if release is not None:
        state = "penalty_released"
    elif matures is not None and tip.median_time is not None and tip.median_time >= matures:
        state = "penalty_matured"
    released = None if release is None else _spent_by(release)
    return PenaltyOutput(outpoint, stage.value_sats, state, matures, released)


def _matures_at(found: Investment, recovered: Place | None) -> int | None:
    """When the lock ends. Where the headers below the block were not seen the latest moment that it
    can be: a block's time is after the median time past before it.
    """
    if recovered is None:
        return None
    assert found.penalty_days <= MAX_PENALTY_DAYS, "its penalty script could be built"
    prior = recovered.prior_median_time
    return matures_at(recovered.at - 1 if prior is None else prior, found.penalty_days)


def _spent_by(spender: Spender) -> SpentBy:
    place = spender.held.place
    txid = spender.held.tx.txid
    if place is None:
        return SpentBy(txid, spender.vin, None, None)
    return SpentBy(txid, spender.vin, place.height, place.at)


def _rows(
    basis: InvestmentContext,
    found: Investment,
    held: StoredTx,
    stages: tuple[StageState, ...],
    spenders: Mapping[OutPoint, Spender],
    tip: Tip,
) -> tuple[LedgerRow, ...]:
    party = found.investor_key.hex()
    rows: list[LedgerRow] = []

    def book(kind: AngorKind, value_sats: int, outpoint: OutPoint, cause: StoredTx) -> None:
        place = cause.place
        if place is None or not tip.is_deep(place):
            return
        rows.append(
            LedgerRow(
                kind=kind,
                amount_msats=value_sats * MSATS,
                at=place.at,
                height=place.height,
                block_hash=place.block_hash,
                reference=str(outpoint),
                txid=cause.tx.txid,
                project_id=basis.project_id,
                investment_txid=found.txid,
                party=party,
                position=place.position,
            )
        )

    for stage in stages:
        book("investment", stage.stage.value_sats, OutPoint(found.txid, stage.stage.vout), held)
    for stage in stages:
        outpoint = OutPoint(found.txid, stage.stage.vout)
        if stage.spent is not None:
            book(_kind(stage.state), stage.stage.value_sats, outpoint, spenders[outpoint].held)
    for stage in stages:
        if stage.penalty is not None and stage.penalty.released is not None:
            penalty = stage.penalty.outpoint
            book("penalty_release", stage.stage.value_sats, penalty, spenders[penalty].held)
    return tuple(sorted(rows, key=lambda row: (row.height, row.position)))


def _kind(state: str) -> AngorKind:
    match SpendKind(state):
        case SpendKind.CLAIM:
            return "claim"
        case SpendKind.RECOVERY:
            return "recovery"
        case SpendKind.UNFUNDED_RELEASE:
            return "unfunded_release"
        case SpendKind.PENALTY_FREE_RECOVERY:
            return "penalty_free_recovery"
        case SpendKind.END_OF_PROJECT:
            return "end_of_project"
        case SpendKind.UNKNOWN:
            return "unknown"

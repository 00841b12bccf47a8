"""The state of an investment: status, stages, penalties and ledger rows, computed from the facts.

Computed anew whenever a fact changes, so the result depends neither on the order in which facts
arrived nor on earlier results. Source: docs/angor.md 7, 10, 12.1.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from raised.domain.ledger import MSATS_PER_SAT, AngorKind, LedgerRow
from raised.errors import InvalidInput

InvestmentStatus = Literal["unconfirmed", "confirmed", "dropped", "unverified", "rejected"]
PenaltyState = Literal["in_penalty", "penalty_matured", "penalty_released"]

LOCKED: Final = "locked"


@dataclass(frozen=True, slots=True)
class Tip:
    """The tip of the best chain, and how many confirmations count as final."""

    height: int
    hash: str
    confirmations: int
    median_time: int | None = None

    def is_deep(self, place: "Place | None") -> bool:
        """Whether a transaction at this place has enough confirmations."""
        return place is not None and self.height - place.height + 1 >= self.confirmations


@dataclass(frozen=True, slots=True)
class Place:
    """The block of a transaction on the best chain.

    `at` is the block's time, `prior_median_time` the median time past before it (BIP113), None
    where the headers below were not seen. Times in unix seconds.
    """

    height: int
    block_hash: str
    position: int
    at: int
    prior_median_time: int | None = None


@dataclass(frozen=True, slots=True)
class StoredTx:
    """A transaction in the record. `gone`: it was unconfirmed and has left every mempool."""

    tx: Tx
    place: Place | None
    first_seen_at: int
    gone: bool


@dataclass(frozen=True, slots=True)
class InvestmentContext:
    """The project that an investment is judged by.

    `terms` is None while the project's event is missing or bad; `counts` says whether its founding
    transaction has enough confirmations.
    """

    project_id: str
    terms: Terms | None
    counts: bool
    founding: Place | None


@dataclass(frozen=True, slots=True)
class Spender:
    """The input that spends an outpoint."""

    stored: StoredTx
    vin: int


@dataclass(frozen=True, slots=True)
class SpentBy:
    """The transaction that spent an output; `height` and `at` are None while it is unconfirmed."""

    txid: Txid
    vin: int
    height: int | None
    at: int | None


@dataclass(frozen=True, slots=True)
class PenaltyOutput:
    """A penalty output; `value_sats` is the value of the stage output that went into it."""

    outpoint: OutPoint
    value_sats: int
    state: PenaltyState
    matures_at: int | None
    released: SpentBy | None


@dataclass(frozen=True, slots=True)
class StageState:
    """A stage output; `state` is `locked` or the kind of its spend."""

    stage: StageOutput
    state: str
    spent: SpentBy | None
    penalty: PenaltyOutput | None


@dataclass(frozen=True, slots=True)
class InvestmentState:
    """Everything derived about one investment, with the rows that the ledger must hold for it."""

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
    """The spender that counts: the confirmed one, else the newest that is still in a mempool."""
    live = [
        spender
        for spender in spenders
        if not spender.stored.gone or spender.stored.place is not None
    ]
    placed = [spender for spender in live if spender.stored.place is not None]
    if placed:
        return placed[0]
    return max(
        live,
        key=lambda spender: (spender.stored.first_seen_at, spender.stored.tx.txid),
        default=None,
    )


def evaluate_investment(
    context: InvestmentContext, stored: StoredTx, spenders: Mapping[OutPoint, Spender], tip: Tip
) -> InvestmentState:
    """The state of this transaction; `spenders` are those of its stage and penalty outputs."""
    if context.terms is None:
        return _unverified(context, stored)
    investment = recognise(context.terms, stored.tx)
    if isinstance(investment, RejectedInvestment):
        return _without_stages(context, stored, "rejected", investment.reason)
    return _recognised_state(context, investment, stored, spenders, tip)


def _unverified(context: InvestmentContext, stored: StoredTx) -> InvestmentState:
    """Without terms a transaction is rejected only for what no terms could make valid."""
    outputs = stored.tx.outputs
    if len(outputs) < 2 or outputs[1].script_pubkey[:1] != bytes([OP_RETURN]):
        return _without_stages(context, stored, "rejected", "no_op_return")
    try:
        mark = parse_investor_mark(outputs[1].script_pubkey)
    except InvalidInput as error:
        return _without_stages(context, stored, "rejected", str(error.args[0]))
    if outputs[0].script_pubkey != project_script(context.project_id):
        return _without_stages(context, stored, "rejected", "wrong_fee_output")
    return _without_stages(context, stored, "unverified", None, mark.investor_key)


def _without_stages(
    context: InvestmentContext,
    stored: StoredTx,
    status: InvestmentStatus,
    reason: str | None,
    investor_key: bytes | None = None,
) -> InvestmentState:
    if stored.place is None and stored.gone:
        status, reason = "dropped", None
    return InvestmentState(
        txid=stored.tx.txid,
        project_id=context.project_id,
        status=status,
        reason=reason,
        flags=(),
        investor_key=None if investor_key is None else investor_key.hex(),
        seeder=False,
        amount_sats=0,
        fee_sats=_fee(context, stored.tx),
        place=stored.place,
        at=_at(stored),
    )


def _fee(context: InvestmentContext, tx: Tx) -> int:
    script = project_script(context.project_id)
    return sum(output.value for output in tx.outputs[:1] if output.script_pubkey == script)


def _at(stored: StoredTx) -> int:
    return stored.first_seen_at if stored.place is None else stored.place.at


def _recognised_state(
    context: InvestmentContext,
    investment: Investment,
    stored: StoredTx,
    spenders: Mapping[OutPoint, Spender],
    tip: Tip,
) -> InvestmentState:
    stages = tuple(_stage(investment, stage, spenders, tip) for stage in investment.stages)
    status = _status(context, stored, tip)
    rows = (
        _rows(context, investment, stored, stages, spenders, tip) if status == "confirmed" else ()
    )
    return InvestmentState(
        txid=investment.txid,
        project_id=context.project_id,
        status=status,
        reason=None,
        flags=investment.flags + _time_flags(context, stored.place),
        investor_key=investment.investor_key.hex(),
        seeder=investment.seeder,
        amount_sats=investment.amount_sats,
        fee_sats=investment.fee_sats,
        place=stored.place,
        at=_at(stored),
        stages=stages,
        rows=rows,
    )


def _status(context: InvestmentContext, stored: StoredTx, tip: Tip) -> InvestmentStatus:
    if stored.place is None and stored.gone:
        return "dropped"
    return "confirmed" if context.counts and tip.is_deep(stored.place) else "unconfirmed"


def _time_flags(context: InvestmentContext, place: Place | None) -> tuple[str, ...]:
    """The flags that follow from when the investment was mined."""
    if place is None or context.terms is None:
        return ()
    flags: list[str] = []
    if context.terms.type is ProjectType.INVEST and not _in_window(context.terms, place.at):
        flags.append("outside_window")
    if context.founding is not None and place.height < context.founding.height:
        flags.append("before_founding")
    return tuple(flags)


def _in_window(terms: Terms, at: int) -> bool:
    """Whether the time is within the funding window; a date that is not set bounds nothing."""
    after_start = terms.start_at is None or terms.start_at <= at
    return after_start and (terms.end_at is None or at <= terms.end_at)


def _stage(
    investment: Investment, stage: StageOutput, spenders: Mapping[OutPoint, Spender], tip: Tip
) -> StageState:
    spender = spenders.get(OutPoint(investment.txid, stage.vout))
    if spender is None:
        return StageState(stage, LOCKED, None, None)
    try:
        spend = classify(investment, stage, spender.stored.tx, spender.vin)
    except InvalidInput:  # a forged witness: no block can contain it
        return StageState(stage, LOCKED, None, None)
    penalty = None
    if spend.kind is SpendKind.RECOVERY and spend.penalty_vout is not None:
        outpoint = OutPoint(spender.stored.tx.txid, spend.penalty_vout)
        penalty = _penalty(investment, stage, outpoint, spenders, (spender.stored.place, tip))
    return StageState(stage, spend.kind.value, _spent_by(spender), penalty)


def _penalty(
    investment: Investment,
    stage: StageOutput,
    outpoint: OutPoint,
    spenders: Mapping[OutPoint, Spender],
    recovered: tuple[Place | None, Tip],
) -> PenaltyOutput:
    place, tip = recovered
    release = spenders.get(outpoint)
    matures = _matures_at(investment, place)
    state: PenaltyState = "in_penalty"
    if release is not None:
        state = "penalty_released"
    elif matures is not None and tip.median_time is not None and tip.median_time >= matures:
        state = "penalty_matured"
    released = None if release is None else _spent_by(release)
    return PenaltyOutput(outpoint, stage.value_sats, state, matures, released)


def _matures_at(investment: Investment, recovered: Place | None) -> int | None:
    """When the penalty's relative lock ends, in unix seconds.

    Without the headers below the block it is the latest possible time: a block's time is always
    after the median time past before it.
    """
    if recovered is None:
        return None
    assert investment.penalty_days <= MAX_PENALTY_DAYS, "its penalty script could be built"
    prior = recovered.prior_median_time
    return matures_at(recovered.at - 1 if prior is None else prior, investment.penalty_days)


def _spent_by(spender: Spender) -> SpentBy:
    place = spender.stored.place
    txid = spender.stored.tx.txid
    if place is None:
        return SpentBy(txid, spender.vin, None, None)
    return SpentBy(txid, spender.vin, place.height, place.at)


def _rows(
    context: InvestmentContext,
    investment: Investment,
    stored: StoredTx,
    stages: tuple[StageState, ...],
    spenders: Mapping[OutPoint, Spender],
    tip: Tip,
) -> tuple[LedgerRow, ...]:
    """The rows that the ledger must hold, in the order of the chain."""
    rows = [
        _row(context, investment, booking, place)
        for booking in _bookings(investment, stored, stages, spenders)
        if (place := booking[3].place) is not None and tip.is_deep(place)
    ]
    return tuple(sorted(rows, key=lambda row: (row.height, row.position)))


_Booking = tuple[AngorKind, int, OutPoint, StoredTx]  # sats, of what output, by which transaction


def _bookings(
    investment: Investment,
    stored: StoredTx,
    stages: tuple[StageState, ...],
    spenders: Mapping[OutPoint, Spender],
) -> Iterator[_Booking]:
    """What is to be booked once it is deep enough: what was locked before what spends it."""
    outpoints = [OutPoint(investment.txid, stage.stage.vout) for stage in stages]
    for outpoint, stage in zip(outpoints, stages, strict=True):
        yield "investment", stage.stage.value_sats, outpoint, stored
    for outpoint, stage in zip(outpoints, stages, strict=True):
        if stage.spent is not None:
            yield _kind(stage.state), stage.stage.value_sats, outpoint, spenders[outpoint].stored
    for stage in stages:
        if stage.penalty is not None and stage.penalty.released is not None:
            penalty = stage.penalty.outpoint
            yield "penalty_release", stage.stage.value_sats, penalty, spenders[penalty].stored


def _row(
    context: InvestmentContext, investment: Investment, booking: _Booking, place: Place
) -> LedgerRow:
    kind, amount_sats, outpoint, cause = booking
    return LedgerRow(
        kind=kind,
        amount_msats=amount_sats * MSATS_PER_SAT,
        at=place.at,
        height=place.height,
        block_hash=place.block_hash,
        reference=str(outpoint),
        txid=cause.tx.txid,
        project_id=context.project_id,
        investment_txid=investment.txid,
        party=investment.investor_key.hex(),
        position=place.position,
    )


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

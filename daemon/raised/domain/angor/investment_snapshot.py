"""The stored form of an investment, and the feed changes between two of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from raised.domain.angor.investment_state import LOCKED, InvestmentState, PenaltyOutput, StageState
from raised.domain.change import Change, ChangeType


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """A stage output as it is stored and served."""

    vout: int
    index: int
    value_sats: int
    release_at: int
    expiry_at: int
    state: str
    spent_txid: str | None
    spent_vin: int | None
    spent_height: int | None
    spent_at: int | None


@dataclass(frozen=True, slots=True)
class PenaltySnapshot:
    """A penalty output as it is stored and served."""

    txid: str
    vout: int
    stage_vout: int
    value_sats: int
    state: str
    matures_at: int | None
    released_txid: str | None
    released_height: int | None
    released_at: int | None


@dataclass(frozen=True, slots=True)
class InvestmentSnapshot:
    """An investment in any status, as it is stored and served."""

    txid: str
    project_id: str
    status: str
    reason: str | None
    flags: tuple[str, ...]
    investor_key: str | None
    seeder: bool
    amount_sats: int
    fee_sats: int
    height: int | None
    block_hash: str | None
    at: int
    stages: tuple[StageSnapshot, ...]
    penalties: tuple[PenaltySnapshot, ...]

    @property
    def is_confirmed(self) -> bool:
        """Whether it counts as raised."""
        return self.status == "confirmed"

    @property
    def unconfirmed_sats(self) -> int:
        """Its part of the unconfirmed sum, which is never added to the confirmed ones."""
        return self.amount_sats if self.status == "unconfirmed" else 0


def investment_snapshot(state: InvestmentState) -> InvestmentSnapshot:
    """The stored form of this state."""
    place = state.place
    return InvestmentSnapshot(
        txid=state.txid,
        project_id=state.project_id,
        status=state.status,
        reason=state.reason,
        flags=state.flags,
        investor_key=state.investor_key,
        seeder=state.seeder,
        amount_sats=state.amount_sats,
        fee_sats=state.fee_sats,
        height=None if place is None else place.height,
        block_hash=None if place is None else place.block_hash,
        at=state.at,
        stages=tuple(_stage_snapshot(stage) for stage in state.stages),
        penalties=tuple(
            sorted(
                (
                    _penalty_snapshot(stage.stage.vout, stage.penalty)
                    for stage in state.stages
                    if stage.penalty is not None
                ),
                key=lambda snapshot: (snapshot.txid, snapshot.vout),
            )
        ),
    )


def _stage_snapshot(stage_state: StageState) -> StageSnapshot:
    spent = stage_state.spent
    return StageSnapshot(
        vout=stage_state.stage.vout,
        index=stage_state.stage.index,
        value_sats=stage_state.stage.value_sats,
        release_at=stage_state.stage.release_at,
        expiry_at=stage_state.stage.expiry_at,
        state=stage_state.state,
        spent_txid=None if spent is None else spent.txid,
        spent_vin=None if spent is None else spent.vin,
        spent_height=None if spent is None else spent.height,
        spent_at=None if spent is None else spent.at,
    )


def _penalty_snapshot(stage_vout: int, penalty_output: PenaltyOutput) -> PenaltySnapshot:
    released = penalty_output.released
    return PenaltySnapshot(
        txid=penalty_output.outpoint.txid,
        vout=penalty_output.outpoint.vout,
        stage_vout=stage_vout,
        value_sats=penalty_output.value_sats,
        state=penalty_output.state,
        matures_at=penalty_output.matures_at,
        released_txid=None if released is None else released.txid,
        released_height=None if released is None else released.height,
        released_at=None if released is None else released.at,
    )


_STAGE_CHANGES: dict[str, ChangeType] = {
    "claim": "stage.claim",
    "recovery": "stage.recovery",
    "unfunded_release": "stage.unfunded_release",
    "penalty_free_recovery": "stage.penalty_free_recovery",
    "end_of_project": "stage.end_of_project",
    "unknown": "stage.unknown",
}
_PENALTY_CHANGES: dict[str, ChangeType] = {
    "penalty_matured": "penalty.matured",
    "penalty_released": "penalty.released",
}
_STATUS_CHANGES: dict[str, ChangeType] = {
    "unconfirmed": "investment.unconfirmed",
    "confirmed": "investment.confirmed",
    "dropped": "investment.dropped",
    "unverified": "investment.unverified",
    "rejected": "investment.rejected",
}


def changes_between(old: InvestmentSnapshot | None, new: InvestmentSnapshot) -> list[Change]:
    """The changes from old to new: at least one where they differ, since readers follow changes."""
    if old == new:
        return []
    changes = [*_stage_changes(old, new), *_penalty_changes(old, new)]
    if old is None or not changes or _identity(old) != _identity(new):
        changes.insert(0, _change(_STATUS_CHANGES[new.status], new, new.txid))
    return changes


def _identity(snapshot: InvestmentSnapshot) -> tuple[object, ...]:
    return (
        snapshot.status,
        snapshot.reason,
        snapshot.flags,
        snapshot.amount_sats,
        snapshot.block_hash,
    )


def _stage_changes(old: InvestmentSnapshot | None, new: InvestmentSnapshot) -> Iterator[Change]:
    known = {} if old is None else {stage.vout: stage for stage in old.stages}
    for stage in new.stages:
        if stage != known.get(stage.vout) and stage.state != LOCKED:
            yield _change(_STAGE_CHANGES[stage.state], new, f"{new.txid}:{stage.vout}")


def _penalty_changes(old: InvestmentSnapshot | None, new: InvestmentSnapshot) -> Iterator[Change]:
    known = (
        {} if old is None else {(penalty.txid, penalty.vout): penalty for penalty in old.penalties}
    )
    for penalty in new.penalties:
        before = known.get((penalty.txid, penalty.vout))
        if penalty != before and penalty.state in _PENALTY_CHANGES:
            yield _change(_PENALTY_CHANGES[penalty.state], new, f"{penalty.txid}:{penalty.vout}")


def _change(kind: ChangeType, snapshot: InvestmentSnapshot, reference: str) -> Change:
    return Change(kind, "angor", snapshot.txid, snapshot.project_id, reference)

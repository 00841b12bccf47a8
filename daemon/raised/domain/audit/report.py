"""The result of an audit, and its JSON form: `raised verify --json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from raised.domain.angor.founding import Founding
from raised.domain.angor.investment_state import InvestmentState, SpentBy, StageState, Tip
from raised.domain.angor.spend import SpendKind
from raised.domain.bitcoin.tx import Txid

Role = Literal[
    "founding",
    "founding_duplicate",
    "investment",
    "spend",
    "penalty_release",
    "rejected",
    "unrelated",
]

EXIT_HOLDS: Final = 0
EXIT_FOUND_SOMETHING: Final = 2


@dataclass(frozen=True, slots=True)
class FoundingCandidate:
    """A transaction laid out like the founding transaction of this project; one is accepted."""

    txid: Txid
    accepted: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReportedTx:
    """What a transaction is to the project, and why it is not what it looks like."""

    txid: Txid
    role: Role
    reason: str | None


@dataclass(frozen=True, slots=True)
class ProjectReport:
    """The project: `id` is None when nothing that was given names one."""

    id: str | None
    status: str
    reason: str | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundingReport:
    """The founding transaction that decides, None when there is none."""

    chosen: Founding | None
    height: int | None
    candidates: tuple[FoundingCandidate, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over stage outputs of confirmed investments; what spends them is counted when it is
    confirmed, too.
    """

    investments: int
    investors: int
    raised_sats: int
    fees_sats: int
    claimed_sats: int
    recovery_sats: int
    unfunded_release_sats: int
    penalty_free_recovery_sats: int
    end_of_project_sats: int
    unknown_sats: int
    locked_sats: int
    in_penalty_sats: int
    penalty_released_sats: int
    unconfirmed_sats: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All that an audit found. `problems` are sentences; without any, everything holds."""

    project: ProjectReport
    founding: FoundingReport
    transactions: tuple[ReportedTx, ...]
    investments: tuple[InvestmentState, ...]
    totals: Totals
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return EXIT_HOLDS if self.holds else EXIT_FOUND_SOMETHING


def totals_of(investment_states: Sequence[InvestmentState], tip: Tip) -> Totals:
    """The sums of these investments, as the ledger would hold them: only what is deep enough."""
    counted = [
        investment_state
        for investment_state in investment_states
        if investment_state.status == "confirmed"
    ]
    stages = [stage for row in counted for stage in row.stages]
    gone = [stage for stage in stages if _is_deep(stage.spent, tip)]
    spent = {kind: _sum([stage for stage in gone if stage.state == kind]) for kind in SpendKind}
    released = _sum(
        [stage for stage in gone if stage.penalty and _is_deep(stage.penalty.released, tip)]
    )
    raised = _sum(stages)
    return Totals(
        investments=len(counted),
        investors=len({row.investor_key for row in counted}),
        raised_sats=raised,
        fees_sats=sum(row.fee_sats for row in counted),
        claimed_sats=spent[SpendKind.CLAIM],
        recovery_sats=spent[SpendKind.RECOVERY],
        unfunded_release_sats=spent[SpendKind.UNFUNDED_RELEASE],
        penalty_free_recovery_sats=spent[SpendKind.PENALTY_FREE_RECOVERY],
        end_of_project_sats=spent[SpendKind.END_OF_PROJECT],
        unknown_sats=spent[SpendKind.UNKNOWN],
        locked_sats=raised - sum(spent.values()),
        in_penalty_sats=spent[SpendKind.RECOVERY] - released,
        penalty_released_sats=released,
        unconfirmed_sats=sum(
            investment_state.amount_sats
            for investment_state in investment_states
            if investment_state.status == "unconfirmed"
        ),
    )


def _sum(stages: Sequence[StageState]) -> int:
    return sum(stage.stage.value_sats for stage in stages)


def _is_deep(spent: SpentBy | None, tip: Tip) -> bool:
    if spent is None or spent.height is None:
        return False
    return tip.height - spent.height + 1 >= tip.confirmations


def as_json(report: AuditReport) -> dict[str, object]:
    """The report as `raised verify --json` prints it."""
    return {
        "project": {
            "id": report.project.id,
            "status": report.project.status,
            "reason": report.project.reason,
        },
        "founding": _founding(report.founding),
        "transactions": [
            {"txid": transaction.txid, "role": transaction.role, "reason": transaction.reason}
            for transaction in report.transactions
        ],
        "investments": [_investment(investment) for investment in report.investments],
        "totals": {name: getattr(report.totals, name) for name in Totals.__slots__},
    }


def _founding(founding: FoundingReport) -> dict[str, object]:
    return {
        "txid": None if founding.chosen is None else founding.chosen.txid,
        "height": founding.height,
        "candidates": [
            {"txid": candidate.txid, "accepted": candidate.accepted, "reason": candidate.reason}
            for candidate in founding.candidates
        ],
    }


def _investment(state: InvestmentState) -> dict[str, object]:
    return {
        "txid": state.txid,
        "status": state.status,
        "flags": list(state.flags),
        "investor_key": state.investor_key,
        "seeder": state.seeder,
        "amount_sats": state.amount_sats,
        "fee_sats": state.fee_sats,
        "height": None if state.place is None else state.place.height,
        "stages": [_stage(stage) for stage in state.stages],
    }


def _stage(stage_state: StageState) -> dict[str, object]:
    return {
        "index": stage_state.stage.index,
        "vout": stage_state.stage.vout,
        "value_sats": stage_state.stage.value_sats,
        "release_at": stage_state.stage.release_at,
        "state": stage_state.state,
        "spent_txid": None if stage_state.spent is None else stage_state.spent.txid,
        "spent_height": None if stage_state.spent is None else stage_state.spent.height,
    }

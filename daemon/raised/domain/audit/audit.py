"""Audit one project: decide everything about it from its event and a set of transactions.

Uses the same rules as the record, and nothing but what is passed in. Source: docs/angor.md 13.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from raised.domain.angor.founding import Founding, founding_of
from raised.domain.angor.investment_state import (
    InvestmentContext,
    InvestmentState,
    Spender,
    StoredTx,
    Tip,
    evaluate_investment,
    spender_of,
)
from raised.domain.angor.network import Network
from raised.domain.angor.project_state import (
    Candidate,
    ProjectState,
    StoredFounding,
    decide_project,
    first_reproduced_investment,
)
from raised.domain.angor.recycled_money import is_recycled
from raised.domain.angor.spend import SpendKind
from raised.domain.angor.spend_proof import disproved_inputs
from raised.domain.angor.terms import RejectedEvent, Terms, check_announcement, parse_terms
from raised.domain.audit.report import AuditReport, FoundingReport, ProjectReport, totals_of
from raised.domain.audit.tx_roles import candidates_of, reported_txs
from raised.domain.audit.tx_set import TxSet, penalty_coins, stage_coins, tx_set_of
from raised.domain.bitcoin.tx import OutPoint, Txid
from raised.domain.event import Event, is_authentic

_STATUSES_WITH_TERMS = frozenset({"announced", "committed", "confirmed"})
_Input = tuple[Txid, int]


def audit(
    network: Network,
    event: Event | None,
    txs: Iterable[StoredTx],
    *,
    tip: Tip | None = None,
    project_id: str | None = None,
) -> AuditReport:
    """Judge the project that the event announces, by the transactions that may concern it.

    Without `tip` it is the highest block of a transaction, and every block counts as deep enough.
    Without `project_id` it is that of the event, else that of the first founding transaction.
    """
    case = tx_set_of(txs, tip)
    claim = _claim(event, network)
    foundings = _foundings(case, network)
    project_id = project_id or _audited_project(claim, foundings)
    ours = {
        txid: founding for txid, founding in foundings.items() if founding.project_id == project_id
    }
    project = _project(project_id, ours, claim, case)
    context = _investment_context(project_id, project, claim)
    plain = [stored for stored in case.txs if stored.tx.txid not in ours]
    states, wrong = _investment_states(context, plain, case)
    return _report(project_id, project, ours, case, _with_recycled(states, case), wrong)


def _foundings(case: TxSet, network: Network) -> dict[Txid, Founding]:
    """The transactions that pass the founding test, of whatever project."""
    return {
        stored.tx.txid: founding
        for stored in case.txs
        if (founding := founding_of(stored.tx, network)) is not None
    }


def _report(
    project_id: str | None,
    project: ProjectState,
    ours: Mapping[Txid, Founding],
    case: TxSet,
    states: Sequence[InvestmentState],
    wrong: frozenset[_Input],
) -> AuditReport:
    chosen = _deciding_founding(project, ours)
    coins = (*stage_coins(states), *penalty_coins(states))
    forged = frozenset(txid for txid, _ in wrong)
    investments = tuple(state for state in states if state.status != "rejected")
    return AuditReport(
        ProjectReport(project_id, project.status, project.reason, project.flags),
        FoundingReport(
            chosen,
            None if chosen is None else case.height(chosen.txid),
            tuple(candidates_of(project_id, ours, chosen, case)),
        ),
        tuple(reported_txs(states, ours, chosen, case, forged)),
        investments,
        totals_of(investments, case.tip),
        (*_problems(project, investments, wrong), *_double_spends(coins, case)),
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the event claims, and the terms that could be parsed."""

    candidate: Candidate
    terms: Terms | None


def _claim(event: Event | None, network: Network) -> _Claim | None:
    """What the event claims; one that is not authentic is no event at all."""
    if event is None or not is_authentic(event):
        return None
    found = check_announcement(event, network)
    reason = found.reason if isinstance(found, RejectedEvent) else None
    terms = None if reason == "bad_terms" else parse_terms(event.content, event.created_at)
    candidate = Candidate(
        event_id=event.id,
        pubkey=event.pubkey,
        created_at=event.created_at,
        project_id=None if terms is None else terms.project_id,
        founder_key=None if terms is None else terms.founder_key.hex(),
        reason=reason,
        withdrawn=False,
    )
    return _Claim(candidate, terms)


def _audited_project(claim: _Claim | None, foundings: Mapping[Txid, Founding]) -> str | None:
    """The project that is audited: the event's, else that of a founding transaction."""
    if claim is not None and claim.terms is not None:
        return claim.terms.project_id
    event_id = None if claim is None else claim.candidate.event_id
    naming = [founding for founding in foundings.values() if founding.event_id == event_id]
    return next((founding.project_id for founding in (*naming, *foundings.values())), None)


def _project(
    project_id: str | None,
    ours: Mapping[Txid, Founding],
    claim: _Claim | None,
    case: TxSet,
) -> ProjectState:
    def reproduces(_event_id: str) -> tuple[int, int] | None:
        assert claim is not None, "only the event is asked about"
        assert claim.terms is not None, "only a good one is"
        return first_reproduced_investment(claim.terms, case.txs)

    stored = [_stored_founding(our, case.by_id[our.txid]) for our in ours.values()]
    candidates = () if claim is None else (claim.candidate,)
    state = decide_project(project_id or "", stored, candidates, case.tip, reproduces)
    if state.status not in ("event_missing", "hidden"):
        return state
    if claim is None:
        return replace(state, status="event_missing")
    # The event that was to be audited is not the one that is missing.
    reason = claim.candidate.reason or "other_event_committed"
    return replace(state, status="rejected", reason=reason)


def _stored_founding(founding: Founding, stored: StoredTx) -> StoredFounding:
    return StoredFounding(
        founding.txid,
        founding.founder_key.hex(),
        founding.event_id,
        founding.nostr_pubkey,
        stored.place,
        stored.gone,
    )


def _deciding_founding(project: ProjectState, ours: Mapping[Txid, Founding]) -> Founding | None:
    """The founding transaction that decides, else the one that would if it were confirmed."""
    if project.founding is not None:
        return ours[project.founding.txid]
    return next(iter(ours.values()), None)


def _investment_context(
    project_id: str | None, project: ProjectState, claim: _Claim | None
) -> InvestmentContext | None:
    if project_id is None:
        return None
    return InvestmentContext(
        project_id,
        claim.terms if claim is not None and project.status in _STATUSES_WITH_TERMS else None,
        counts=project.status == "confirmed",
        founding=None if project.founding is None else project.founding.place,
    )


def _investment_states(
    context: InvestmentContext | None, txs: Sequence[StoredTx], case: TxSet
) -> tuple[list[InvestmentState], frozenset[_Input]]:
    """The state of every transaction, and the inputs whose witness is proven wrong.

    A wrong witness spends nothing: the output stays locked.
    """
    if context is None:
        return [], frozenset()
    spenders = _spenders(case)
    investment_states = [evaluate_investment(context, stored, spenders, case.tip) for stored in txs]
    wrong = frozenset(_wrong_inputs(investment_states, spenders, case))
    if wrong:
        good = {
            outpoint: spender
            for outpoint, spender in spenders.items()
            if (spender.stored.tx.txid, spender.vin) not in wrong
        }
        investment_states = [evaluate_investment(context, stored, good, case.tip) for stored in txs]
    return investment_states, wrong


def _spenders(case: TxSet) -> dict[OutPoint, Spender]:
    chosen = {outpoint: spender_of(spenders) for outpoint, spenders in case.spenders.items()}
    return {outpoint: spender for outpoint, spender in chosen.items() if spender is not None}


def _wrong_inputs(
    investment_states: Sequence[InvestmentState], spenders: Mapping[OutPoint, Spender], case: TxSet
) -> Iterable[_Input]:
    vins: dict[Txid, set[int]] = {}
    for outpoint in (*stage_coins(investment_states), *penalty_coins(investment_states)):
        spender = spenders.get(outpoint)
        if spender is not None:
            vins.setdefault(spender.stored.tx.txid, set()).add(spender.vin)
    for txid, inputs in vins.items():
        tx = case.by_id[txid].tx
        for vin in disproved_inputs(tx, sorted(inputs), case.output):
            yield (txid, vin)


def _with_recycled(
    investment_states: Sequence[InvestmentState], case: TxSet
) -> list[InvestmentState]:
    claims = {
        stage.spent.txid
        for investment_state in investment_states
        for stage in investment_state.stages
        if stage.spent is not None and stage.state == SpendKind.CLAIM
    }

    def flagged(investment_state: InvestmentState) -> InvestmentState:
        tx = case.by_id[investment_state.txid].tx
        if not investment_state.stages or not is_recycled(tx, case.tx, claims.__contains__):
            return investment_state
        return replace(investment_state, flags=(*investment_state.flags, "recycled"))

    return [flagged(investment_state) for investment_state in investment_states]


def _problems(
    project: ProjectState, investments: Sequence[InvestmentState], wrong: frozenset[_Input]
) -> Iterable[str]:
    """What makes an audit fail. Transactions that any stranger can make are never a problem."""
    if project.status != "confirmed":
        because = "" if project.reason is None else f" ({project.reason})"
        unfounded = ": no transaction founds it" if project.founding is None else ""
        yield f"the project is {project.status}{because}, not confirmed{unfounded}"
    for investment in investments:
        for stage in investment.stages:
            if stage.state == SpendKind.UNKNOWN:
                yield f"stage output {investment.txid}:{stage.stage.vout} was spent by its key path"
    for txid, vin in sorted(wrong):
        yield f"the witness of input {vin} of {txid} proves nothing"


def _double_spends(coins: Iterable[OutPoint], case: TxSet) -> Iterable[str]:
    """One chain cannot spend a coin twice, so one of two confirmed spenders must be forged."""
    for outpoint in coins:
        placed = [
            spender
            for spender in case.spenders.get(outpoint, ())
            if spender.stored.place is not None
        ]
        if len(placed) > 1:
            yield f"{outpoint} is spent by {len(placed)} confirmed transactions"

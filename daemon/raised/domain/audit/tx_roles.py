"""The role of each audited transaction for the project, as `raised verify --json` prints it."""

from collections.abc import Iterable, Mapping, Sequence

from raised.domain.angor.founding import Founding, founding_mark
from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment_state import InvestmentState, StoredTx
from raised.domain.angor.op_return import FoundingMark
from raised.domain.angor.watched_outputs import names_any_key
from raised.domain.audit.report import FoundingCandidate, ReportedTx, Role
from raised.domain.audit.tx_set import TxSet, penalty_coins, stage_coins
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid


def candidates_of(
    project_id: str | None,
    ours: Mapping[Txid, Founding],
    chosen: Founding | None,
    case: TxSet,
) -> Iterable[FoundingCandidate]:
    """The transactions that pay the project and have the layout of a founding transaction."""
    for stored in case.txs:
        txid = stored.tx.txid
        if txid in ours:
            first = chosen is not None and txid == chosen.txid
            yield FoundingCandidate(txid, first, None if first else _why_not_first(stored))
        elif project_id is not None and _looks_like_founding(stored.tx, project_id):
            yield FoundingCandidate(txid, accepted=False, reason="not_founder_key")


def _looks_like_founding(tx: Tx, project_id: str) -> bool:
    """Whether it pays the project and has the layout that no investment has."""
    if not isinstance(founding_mark(tx), FoundingMark):
        return False
    return tx.outputs[0].script_pubkey == project_script(project_id)


def _why_not_first(stored: StoredTx) -> str:
    return "unconfirmed" if stored.place is None else "not_first"


def reported_txs(
    investment_states: Sequence[InvestmentState],
    ours: Mapping[Txid, Founding],
    chosen: Founding | None,
    case: TxSet,
    forged: frozenset[Txid],
) -> Iterable[ReportedTx]:
    """The role of each transaction; `forged` are those with a witness that is proven wrong."""
    by_id = {investment_state.txid: investment_state for investment_state in investment_states}
    locked, in_penalty = set(stage_coins(investment_states)), set(penalty_coins(investment_states))
    for stored in case.txs:
        txid = stored.tx.txid
        if txid in ours:
            first = chosen is not None and txid == chosen.txid
            role: Role = "founding" if first else "founding_duplicate"
            yield ReportedTx(txid, role, None if first else _why_not_first(stored))
            continue
        role = _role(stored.tx, by_id.get(txid), locked, in_penalty)
        yield ReportedTx(txid, role, _reason(role, by_id.get(txid), forged))


def _role(
    tx: Tx, state: InvestmentState | None, locked: set[OutPoint], in_penalty: set[OutPoint]
) -> Role:
    if state is not None and state.status != "rejected":
        return "investment"
    spent = {txin.outpoint for txin in tx.inputs}
    if spent & locked:
        return "spend"
    if spent & in_penalty:
        return "penalty_release"
    if names_any_key(tx):
        return "rejected"
    return "unrelated"


def _reason(role: Role, state: InvestmentState | None, forged: frozenset[Txid]) -> str | None:
    if state is None:
        return None
    if role in ("spend", "penalty_release") and state.txid in forged:
        return "wrong_witness"
    return state.reason if role == "rejected" else None

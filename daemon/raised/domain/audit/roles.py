"""What each transaction of a case is to the project. Source: design.md 3."""

from collections.abc import Iterable, Mapping, Sequence

from raised.domain.angor.founding import Founding, founding_mark
from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment_state import InvestmentState, StoredTx
from raised.domain.angor.op_return import FoundingMark, begins_with_key
from raised.domain.audit.report import FoundingCandidate, ReportedTx, Role
from raised.domain.audit.tx_set import TxSet, penalty_coins, stage_coins
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid


def candidates_of(
    project_id: str | None,
    ours: Mapping[Txid, Founding],
    chosen: Founding | None,
    case: TxSet,
) -> Iterable[FoundingCandidate]:
    """What pays the project and is laid out like a founding transaction."""
    for held in case.txs:
        txid = held.tx.txid
        if txid in ours:
            first = chosen is not None and txid == chosen.txid
            yield FoundingCandidate(txid, first, None if first else _later(held))
        elif project_id is not None and _looks_like_founding(held.tx, project_id):
            yield FoundingCandidate(txid, accepted=False, reason="not_founder_key")


def _looks_like_founding(tx: Tx, project_id: str) -> bool:
    """Whether it pays the project and has the layout that no investment has."""
    if not isinstance(founding_mark(tx), FoundingMark):
        return False
    return tx.outputs[0].script_pubkey == project_script(project_id)


def _later(held: StoredTx) -> str:
    return "unconfirmed" if held.place is None else "not_first"


def reported(
    investment_states: Sequence[InvestmentState],
    ours: Mapping[Txid, Founding],
    chosen: Founding | None,
    case: TxSet,
    forged: frozenset[Txid],
) -> Iterable[ReportedTx]:
    """The role of each; `forged`: a witness of theirs is shown to be wrong."""
    by_id = {investment_state.txid: investment_state for investment_state in investment_states}
    locked, in_penalty = set(stage_coins(investment_states)), set(penalty_coins(investment_states))
    for held in case.txs:
        txid = held.tx.txid
        if txid in ours:
            first = chosen is not None and txid == chosen.txid
            role: Role = "founding" if first else "founding_duplicate"
            yield ReportedTx(txid, role, None if first else _later(held))
            continue
        role = _role(held.tx, by_id.get(txid), locked, in_penalty)
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
    if any(begins_with_key(output.script_pubkey) for output in tx.outputs):
        return "rejected"
    return "unrelated"


def _reason(role: Role, state: InvestmentState | None, forged: frozenset[Txid]) -> str | None:
    if state is None:
        return None
    if role in ("spend", "penalty_release") and state.txid in forged:
        return "wrong_witness"
    return state.reason if role == "rejected" else None

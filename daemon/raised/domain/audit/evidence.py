"""The evidence of a project: everything a stranger needs to check it with any Bitcoin library.

The audit's report, with the proof beside each statement: the event as signed; every transaction
raw, with its merkle path and header; of each stage the recomputed leaves, their root and output key
beside the script on the chain; of each spend the revealed leaf and control block.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from raised.domain.angor.investment_state import InvestmentState, SpentBy, StageState, StoredTx, Tip
from raised.domain.angor.network import Network
from raised.domain.angor.stage_output import stage_tree
from raised.domain.audit.audit import audit
from raised.domain.audit.report import AuditReport, as_json
from raised.domain.bitcoin.block import Header, fold_merkle_proof, meets_target, parse_header
from raised.domain.bitcoin.taproot import output_key, program_of, revealed_leaf
from raised.domain.bitcoin.tx import Tx, Txid
from raised.domain.event import Event, event_json
from raised.errors import InvalidInput

_ROLES_WITH_PROOF = frozenset({"founding", "investment", "spend", "penalty_release"})
_Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class ProvenTx:
    """A transaction and what proves its place.

    `siblings`: its merkle branch, display order, from the leaf up. `raw_block`: whether it was read
    from a whole block that was checked: only that covers the witness, so only then wtxid is shown.
    """

    stored: StoredTx
    header: bytes | None
    siblings: tuple[str, ...] | None
    raw_block: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """The report, whether everything holds, and the document that shows it."""

    report: AuditReport
    problems: tuple[str, ...]
    document: _Json

    @property
    def exit_code(self) -> int:
        """What the command ends with: 2 when something does not hold."""
        return 2 if self.problems else 0


def build_evidence(
    network: Network,
    event: Event | None,
    txs: Iterable[ProvenTx],
    *,
    tip: Tip | None = None,
    project_id: str | None = None,
) -> Evidence:
    """Audit the project and show why. `tip` and `project_id` as in `audit`."""
    proven = {tx.stored.tx.txid: tx for tx in txs}
    stored = [proven_tx.stored for proven_tx in proven.values()]
    report = audit(network, event, stored, tip=tip, project_id=project_id)
    problems = (*report.problems, *_proof_problems(report, proven))
    document = {
        "network": network.name,
        **as_json(report),
        "flags": list(report.project.flags),
        "event": None if event is None else json.loads(event_json(event)),
        "transactions": [
            {
                "txid": transaction.txid,
                "role": transaction.role,
                "reason": transaction.reason,
                **_transaction(proven[transaction.txid]),
            }
            for transaction in report.transactions
        ],
        "investments": _investments(report, proven),
        "holds": not problems,
        "problems": list(problems),
    }
    return Evidence(report, problems, document)


def proof_problem(proven: ProvenTx) -> str | None:
    """What is missing or wrong about the proof of a transaction's place; None when it holds."""
    place = proven.stored.place
    if place is None:
        return None
    if proven.header is None or proven.siblings is None:
        return "the proof of its block is missing"
    try:
        header = parse_header(proven.header)
        root = fold_merkle_proof(proven.stored.tx.txid, proven.siblings, place.position)
    except (InvalidInput, ValueError):
        return "the proof of its block is no proof"
    return _mismatch(header, root, place.block_hash)


def _mismatch(header: Header, root: str, block_hash: str) -> str | None:
    if header.hash != block_hash:
        return "the header is that of another block"
    if root != header.merkle_root:
        return "the merkle path leads elsewhere"
    return None if meets_target(header) else "the header has no proof of work"


def _proof_problems(report: AuditReport, proven: Mapping[Txid, ProvenTx]) -> Iterable[str]:
    """Of the transactions that count: anybody can make the others."""
    for transaction in report.transactions:
        problem = (
            proof_problem(proven[transaction.txid])
            if transaction.role in _ROLES_WITH_PROOF
            else None
        )
        if problem is not None:
            yield f"{transaction.txid}: {problem}"


def _transaction(proven: ProvenTx) -> _Json:
    tx, place = proven.stored.tx, proven.stored.place
    return {
        "hex": tx.serialize().hex(),
        "wtxid": tx.wtxid if proven.raw_block else None,
        "height": None if place is None else place.height,
        "block_hash": None if place is None else place.block_hash,
        "position": None if place is None else place.position,
        "header": None if proven.header is None else proven.header.hex(),
        "merkle": None if proven.siblings is None else list(proven.siblings),
    }


def _investments(report: AuditReport, proven: Mapping[Txid, ProvenTx]) -> list[_Json]:
    shown = cast("list[_Json]", as_json(report)["investments"])
    return [
        {**plain, **_investment(state, cast("list[_Json]", plain["stages"]), proven)}
        for plain, state in zip(shown, report.investments, strict=True)
    ]


def _investment(
    state: InvestmentState, shown: list[_Json], proven: Mapping[Txid, ProvenTx]
) -> _Json:
    # The seeder leaves, which may be thousands, are the same in all stages of an investment.
    first = next(iter(state.stages), None)
    seeders = () if first is None else first.stage.leaves.seeders
    return {
        "seeder_leaves": [script.hex() for script in seeders],
        "stages": [
            {**plain, **_stage(stage, proven)}
            for plain, stage in zip(shown, state.stages, strict=True)
        ],
    }


def _stage(stage_state: StageState, proven: Mapping[Txid, ProvenTx]) -> _Json:
    stage = stage_state.stage
    root = stage_tree(stage.leaves).root
    return {
        "expiry_at": stage.expiry_at,
        "leaves": {
            "founder": stage.leaves.founder.hex(),
            "recover": stage.leaves.recover.hex(),
            "end": stage.leaves.end.hex(),
        },
        "internal_key": stage.internal_key.hex(),
        "merkle_root": root.hex(),
        "output_key": output_key(stage.internal_key, root)[0].hex(),
        "script_pubkey": stage.script_pubkey.hex(),
        "spend": None
        if stage_state.spent is None
        else _spend(stage_state, stage_state.spent, proven),
    }


def _spend(stage_state: StageState, spent: SpentBy, proven: Mapping[Txid, ProvenTx]) -> _Json:
    tx: Tx = proven[spent.txid].stored.tx
    witness = tx.inputs[spent.vin].witness
    leaf = revealed_leaf(witness, program_of(stage_state.stage.script_pubkey))
    released = None if stage_state.penalty is None else stage_state.penalty.released
    return {
        "txid": spent.txid,
        "vin": spent.vin,
        "leaf": None if leaf is None else leaf.script.hex(),
        "control_block": None if leaf is None else leaf.control_block.hex(),
        "penalty": None if stage_state.penalty is None else str(stage_state.penalty.outpoint),
        "penalty_released_txid": None if released is None else released.txid,
    }

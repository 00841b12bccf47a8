"""Recomputes investments: each from its transaction, its project's terms, and what spends it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import coins, foundings, investments, txs
from raised.db.facts.investments import claiming_txids
from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment_snapshot import InvestmentSnapshot, investment_snapshot
from raised.domain.angor.investment_state import (
    InvestmentContext,
    InvestmentState,
    Spender,
    StoredTx,
    Tip,
    evaluate_investment,
    spender_of,
)
from raised.domain.angor.watched_outputs import names_any_key
from raised.domain.bitcoin.tx import OutPoint, Txid

RECYCLED = "recycled"
_HOPS = 3  # a limit of ours: the search must not walk through the whole chain


async def owners_of(conn: AsyncConnection, stored: Mapping[Txid, StoredTx]) -> dict[Txid, str]:
    """The project that each of these transactions could be an investment of: the one that its first
    paying output pays. Founding transactions are no investments, nor is a gift, which names no key.
    """
    founding = await foundings.founding_txids(conn, stored)
    paid = await coins.projects_paid_by(conn, stored)
    return {
        txid: _first_paid(stored[txid], ids)
        for txid, ids in paid.items()
        if txid not in founding and names_any_key(stored[txid].tx)
    }


def _first_paid(stored: StoredTx, ids: Collection[str]) -> str:
    by_script = {project_script(project_id): project_id for project_id in ids}
    return next(by_script[script] for _, script in stored.tx.outputs if script in by_script)


async def evaluate_investments(
    conn: AsyncConnection,
    stored: Mapping[Txid, StoredTx],
    contexts: Mapping[Txid, InvestmentContext],
    tip: Tip,
) -> dict[Txid, InvestmentState]:
    """The state of each of these transactions in its context."""
    spenders = await _spenders(conn, contexts)
    return {
        txid: evaluate_investment(context, stored[txid], spenders, tip)
        for txid, context in contexts.items()
    }


async def _spenders(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[OutPoint, Spender]:
    """What spends the outputs of these transactions, and what spends the outputs of those: a stage
    goes into a penalty, and the penalty is released.
    """
    first = await txs.inputs_spending(conn, txids)
    spending = {txid for inputs in first.values() for txid, _ in inputs}
    second = await txs.inputs_spending(conn, spending)
    spends = first | second
    stored = await txs.stored_txs(conn, {txid for inputs in spends.values() for txid, _ in inputs})
    chosen: dict[OutPoint, Spender] = {}
    for outpoint, inputs in spends.items():
        spender = spender_of(Spender(stored[txid], vin) for txid, vin in inputs)
        if spender is not None:
            chosen[outpoint] = spender
    return chosen


async def put_investment_states(
    conn: AsyncConnection,
    states: Mapping[Txid, InvestmentState],
    known: Mapping[Txid, InvestmentSnapshot],
) -> tuple[dict[Txid, InvestmentSnapshot], dict[Txid, InvestmentSnapshot]]:
    """Store the states of investments; the snapshots before and after of all that this concerns."""
    plain = {txid: investment_snapshot(state) for txid, state in states.items()}
    await investments.put_investment_snapshots(
        conn, [snapshot for txid, snapshot in plain.items() if snapshot != known.get(txid)], known
    )
    # Money of a claim that came or went makes later investments recycled, or no longer so.
    fed = await _descendants(conn, _claims(known.values()) ^ _claims(plain.values()))
    others = await investments.investment_snapshots(conn, fed - plain.keys())
    after = await _with_recycled(conn, {**others, **plain})
    before = {**others, **known}
    reflagged = [
        snapshot
        for txid, snapshot in after.items()
        if snapshot != plain.get(txid, others.get(txid))
    ]
    await investments.put_investment_snapshots(conn, reflagged, before)
    return before, after


def _claims(snapshots: Iterable[InvestmentSnapshot]) -> set[tuple[Txid, str]]:
    """The transactions that claim, with the projects they claim from."""
    return {
        (stage.spent_txid, snapshot.project_id)
        for snapshot in snapshots
        for stage in snapshot.stages
        if stage.state == "claim" and stage.spent_txid is not None
    }


async def _descendants(conn: AsyncConnection, claims: Iterable[tuple[Txid, str]]) -> set[Txid]:
    """The transactions that money of these claims may have reached, within three hops."""
    reached: set[Txid] = set()
    edge = {txid for txid, _ in claims}
    for _ in range(_HOPS):
        if not edge:
            break
        edge = await txs.children(conn, edge) - reached
        reached |= edge
    return reached


async def _with_recycled(
    conn: AsyncConnection, snapshots: Mapping[Txid, InvestmentSnapshot]
) -> dict[Txid, InvestmentSnapshot]:
    """The snapshots, with the flag on those that the project's own claims paid."""
    ancestors = await _ancestors(conn, snapshots)
    every = {ancestor for found in ancestors.values() for ancestor in found}
    claiming = await claiming_txids(conn, every)
    flagged: dict[Txid, InvestmentSnapshot] = {}
    for txid, snapshot in snapshots.items():
        recycled = any(
            snapshot.project_id in claiming.get(ancestor, ())
            for ancestor in ancestors.get(txid, ())
        )
        flags = tuple(flag for flag in snapshot.flags if flag != RECYCLED)
        if recycled and snapshot.stages:
            flags += (RECYCLED,)
        flagged[txid] = replace(snapshot, flags=flags)
    return flagged


async def _ancestors(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[Txid]]:
    """The stored transactions within three hops before each of these."""
    reached: dict[Txid, set[Txid]] = {txid: set() for txid in txids}
    edges: dict[Txid, set[Txid]] = {txid: {txid} for txid in reached}
    for _ in range(_HOPS):
        parents = await txs.parents(conn, {child for edge in edges.values() for child in edge})
        edges = {
            txid: {parent for child in edge for parent in parents.get(child, ())} - reached[txid]
            for txid, edge in edges.items()
        }
        edges = {txid: edge for txid, edge in edges.items() if edge}
        for txid, edge in edges.items():
            reached[txid] |= edge
        if not edges:
            break
    return reached

"""Decide investments anew: each from its own facts, its project's terms, and what spends it."""

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
from raised.domain.angor.op_return import begins_with_key
from raised.domain.bitcoin.tx import OutPoint, Txid

RECYCLED = "recycled"
_HOPS = 3


async def owners_of(conn: AsyncConnection, held: Mapping[Txid, StoredTx]) -> dict[Txid, str]:
    """The project that each of these transactions could be an investment of: the one that its first
    paying output pays. Founding transactions are none, nor is what names no key at all (a gift).
    """
    founded = await foundings.founding_txids(conn, held)
    paid = await coins.projects_paid_by(conn, held)
    return {
        txid: _first_paid(held[txid], ids)
        for txid, ids in paid.items()
        if txid not in founded and _names_key(held[txid])
    }


def _names_key(held: StoredTx) -> bool:
    return any(begins_with_key(script) for _, script in held.tx.outputs)


def _first_paid(held: StoredTx, ids: Collection[str]) -> str:
    by_script = {project_script(one): one for one in ids}
    return next(by_script[script] for _, script in held.tx.outputs if script in by_script)


async def stand(
    conn: AsyncConnection,
    held: Mapping[Txid, StoredTx],
    bases: Mapping[Txid, InvestmentContext],
    tip: Tip,
) -> dict[Txid, InvestmentState]:
    """How each of these transactions stands against its basis."""
    spenders = await _spenders(conn, bases)
    return {
        txid: evaluate_investment(basis, held[txid], spenders, tip) for txid, basis in bases.items()
    }


async def _spenders(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[OutPoint, Spender]:
    """Who spends the outputs of these, and the outputs of those who do."""
    first = await txs.inputs_spending(conn, txids)
    spending = {txid for inputs in first.values() for txid, _ in inputs}
    second = await txs.inputs_spending(conn, spending)
    inputs = first | second
    held = await txs.stored_txs(conn, {txid for found in inputs.values() for txid, _ in found})
    chosen: dict[OutPoint, Spender] = {}
    for outpoint, found in inputs.items():
        one = spender_of(Spender(held[txid], vin) for txid, vin in found)
        if one is not None:
            chosen[outpoint] = one
    return chosen


async def keep(
    conn: AsyncConnection,
    investment_states: Mapping[Txid, InvestmentState],
    shown: Mapping[Txid, InvestmentSnapshot],
) -> tuple[dict[Txid, InvestmentSnapshot], dict[Txid, InvestmentSnapshot]]:
    """Keep how investments stand; how all that this concerns were shown, and are shown now."""
    plain = {txid: investment_snapshot(one) for txid, one in investment_states.items()}
    await investments.put_investment_snapshots(
        conn, [snapshot for txid, snapshot in plain.items() if snapshot != shown.get(txid)], shown
    )
    more = await _fed_by(conn, _claims(shown.values()) ^ _claims(plain.values()))
    others = await investments.investment_snapshots(conn, more - plain.keys())
    snapshots = await _with_recycled(conn, {**others, **plain})
    before = {**others, **shown}
    flagged = [
        snapshot
        for txid, snapshot in snapshots.items()
        if snapshot != plain.get(txid, others.get(txid))
    ]
    await investments.put_investment_snapshots(conn, flagged, before)
    return before, snapshots


def _claims(snapshots: Iterable[InvestmentSnapshot]) -> set[tuple[Txid, str]]:
    """The transactions that claim, with the projects they claim from."""
    return {
        (stage.spent_txid, snapshot.project_id)
        for snapshot in snapshots
        for stage in snapshot.stages
        if stage.state == "claim" and stage.spent_txid is not None
    }


async def _fed_by(conn: AsyncConnection, claims: Iterable[tuple[Txid, str]]) -> set[Txid]:
    """The transactions that money of these claims may have come to."""
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
    ancestry = await _ancestry(conn, snapshots)
    claiming = await claiming_txids(conn, {one for found in ancestry.values() for one in found})
    flagged: dict[Txid, InvestmentSnapshot] = {}
    for txid, snapshot in snapshots.items():
        recycled = any(
            snapshot.project_id in claiming.get(one, ()) for one in ancestry.get(txid, ())
        )
        flags = tuple(flag for flag in snapshot.flags if flag != RECYCLED)
        if recycled and snapshot.stages:
            flags += (RECYCLED,)
        flagged[txid] = replace(snapshot, flags=flags)
    return flagged


async def _ancestry(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[Txid]]:
    """The transactions that we hold within three hops before each of these."""
    reached: dict[Txid, set[Txid]] = {txid: set() for txid in txids}
    edges: dict[Txid, set[Txid]] = {txid: {txid} for txid in reached}
    for _ in range(_HOPS):
        found = await txs.parents(conn, {one for edge in edges.values() for one in edge})
        edges = {
            txid: {parent for one in edge for parent in found.get(one, ())} - reached[txid]
            for txid, edge in edges.items()
        }
        edges = {txid: edge for txid, edge in edges.items() if edge}
        for txid, edge in edges.items():
            reached[txid] |= edge
        if not edges:
            break
    return reached

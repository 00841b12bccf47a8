"""Investments: their states, stage outputs and penalty outputs."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, put, rows_among
from raised.db.schema import investment, penalty_output, stage_output
from raised.domain.angor.investment_snapshot import (
    InvestmentSnapshot,
    PenaltySnapshot,
    StageSnapshot,
)
from raised.domain.bitcoin.tx import Txid

Party = tuple[str, str]  # project identifier, investor key


async def investment_snapshots(
    conn: AsyncConnection, txids: Iterable[Txid]
) -> dict[Txid, InvestmentSnapshot]:
    """The stored snapshots of these investments."""
    wanted = list(dict.fromkeys(txids))
    stages: defaultdict[Txid, list[StageSnapshot]] = defaultdict(list)
    outputs = stage_output.c
    ordered = select(stage_output, outputs.index.label("place")).order_by(
        outputs.txid, outputs.vout
    )
    for row in await rows_among(conn, ordered, outputs.txid, wanted):
        stages[row.txid].append(_stage(row))
    penalties: defaultdict[Txid, list[PenaltySnapshot]] = defaultdict(list)
    sorted_penalties = select(penalty_output).order_by(penalty_output.c.txid, penalty_output.c.vout)
    for row in await rows_among(conn, sorted_penalties, penalty_output.c.investment_txid, wanted):
        penalties[row.investment_txid].append(_penalty(row))
    rows = await rows_among(conn, select(investment), investment.c.txid, wanted)
    return {
        row.txid: _snapshot(row, tuple(stages[row.txid]), tuple(penalties[row.txid]))
        for row in rows
    }


async def put_investment_snapshots(
    conn: AsyncConnection,
    snapshots: Sequence[InvestmentSnapshot],
    known: Mapping[Txid, InvestmentSnapshot],
) -> None:
    """Store these snapshots; `known` are those that are stored."""
    await put(conn, investment, [_columns(snapshot) for snapshot in snapshots])
    stale = [snapshot for snapshot in snapshots if snapshot.txid in known]
    await _drop_stages(conn, [changed for changed in stale if _moved(known[changed.txid], changed)])
    await put(conn, stage_output, [row for snapshot in snapshots for row in _stage_rows(snapshot)])
    lapsed = [
        changed.txid for changed in stale if known[changed.txid].penalties != changed.penalties
    ]
    await change_among(conn, delete(penalty_output), penalty_output.c.investment_txid, lapsed)
    await add(
        conn, penalty_output, [row for snapshot in snapshots for row in _penalty_rows(snapshot)]
    )


def _moved(old: InvestmentSnapshot, new: InvestmentSnapshot) -> bool:
    return {output.vout for output in old.stages} != {output.vout for output in new.stages}


async def _drop_stages(conn: AsyncConnection, snapshots: Iterable[InvestmentSnapshot]) -> None:
    txids = [snapshot.txid for snapshot in snapshots]
    await change_among(conn, delete(stage_output), stage_output.c.txid, txids)


async def drop_investments(conn: AsyncConnection, txids: Iterable[Txid]) -> None:
    """Delete transactions that are no investments any more."""
    dropped = list(txids)
    await change_among(conn, delete(penalty_output), penalty_output.c.investment_txid, dropped)
    await change_among(conn, delete(investment), investment.c.txid, dropped)


async def add_to_returned(conn: AsyncConnection, returned: Mapping[Txid, int]) -> None:
    """Add to what went back to investors, in satoshis."""
    rows = [{"key": txid, "more": sats} for txid, sats in sorted(returned.items()) if sats]
    if rows:
        sums = {"returned_sats": investment.c.returned_sats + bindparam("more")}
        statement = update(investment).where(investment.c.txid == bindparam("key")).values(sums)
        await conn.execute(statement, rows)


async def confirmed_parties(conn: AsyncConnection, parties: Iterable[Party]) -> set[Party]:
    """Those of these investor keys that have a confirmed investment in the project."""
    wanted = set(parties)
    statement = (
        select(investment.c.project_id, investment.c.investor_key)
        .where(investment.c.status == "confirmed")
        .where(investment.c.project_id.in_(bindparam("projects", expanding=True)))
        .distinct()
    )
    confirmed: set[Party] = set()
    by_project: defaultdict[str, set[str]] = defaultdict(set)
    for project_id, key in wanted:
        by_project[project_id].add(key)
    keys = sorted({key for _, key in wanted})
    for row in await rows_among(
        conn,
        statement.params(projects=sorted(by_project)),
        investment.c.investor_key,
        keys,
    ):
        confirmed.add((row.project_id, row.investor_key))
    return confirmed & wanted


async def penalties_maturing(
    conn: AsyncConnection, state: str, after: int, until: int
) -> set[Txid]:
    """The investments with penalty outputs in a state that mature after one time, by another."""
    matures = penalty_output.c.matures_at
    statement = select(penalty_output.c.investment_txid).where(
        penalty_output.c.state == state, matures > after, matures <= until
    )
    return set(await conn.scalars(statement.distinct()))


async def claiming_txids(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[str]]:
    """Those of these transactions that claim stages, with the projects they claim from."""
    claiming: defaultdict[Txid, set[str]] = defaultdict(set)
    statement = (
        select(stage_output.c.spent_txid, stage_output.c.project_id)
        .where(stage_output.c.state == "claim")
        .distinct()
    )
    for row in await rows_among(conn, statement, stage_output.c.spent_txid, txids):
        claiming[row.spent_txid].add(row.project_id)
    return claiming


def _snapshot(
    row: Row[Any], stages: tuple[StageSnapshot, ...], penalties: tuple[PenaltySnapshot, ...]
) -> InvestmentSnapshot:
    return InvestmentSnapshot(
        txid=row.txid,
        project_id=row.project_id,
        status=row.status,
        reason=row.reason,
        flags=tuple(json.loads(row.flags)),
        investor_key=row.investor_key,
        seeder=row.seeder,
        amount_sats=row.amount_sats,
        fee_sats=row.fee_sats,
        height=row.height,
        block_hash=row.block_hash,
        at=row.at,
        stages=stages,
        penalties=penalties,
    )


def _stage(row: Row[Any]) -> StageSnapshot:
    return StageSnapshot(
        vout=row.vout,
        index=row.place,
        value_sats=row.value_sats,
        release_at=row.release_at,
        expiry_at=row.expiry_at,
        state=row.state,
        spent_txid=row.spent_txid,
        spent_vin=row.spent_vin,
        spent_height=row.spent_height,
        spent_at=row.spent_at,
    )


def _penalty(row: Row[Any]) -> PenaltySnapshot:
    return PenaltySnapshot(
        txid=row.txid,
        vout=row.vout,
        stage_vout=row.stage_vout,
        value_sats=row.value_sats,
        state=row.state,
        matures_at=row.matures_at,
        released_txid=row.released_txid,
        released_height=row.released_height,
        released_at=row.released_at,
    )


def _columns(snapshot: InvestmentSnapshot) -> dict[str, Any]:
    return {
        "txid": snapshot.txid,
        "project_id": snapshot.project_id,
        "status": snapshot.status,
        "reason": snapshot.reason,
        "flags": json.dumps(snapshot.flags),
        "investor_key": snapshot.investor_key,
        "seeder": snapshot.seeder,
        "amount_sats": snapshot.amount_sats,
        "fee_sats": snapshot.fee_sats,
        "height": snapshot.height,
        "block_hash": snapshot.block_hash,
        "at": snapshot.at,
    }


def _stage_rows(snapshot: InvestmentSnapshot) -> list[dict[str, Any]]:
    return [
        {
            "txid": snapshot.txid,
            "vout": output.vout,
            "project_id": snapshot.project_id,
            "index": output.index,
            "value_sats": output.value_sats,
            "release_at": output.release_at,
            "expiry_at": output.expiry_at,
            "state": output.state,
            "spent_txid": output.spent_txid,
            "spent_vin": output.spent_vin,
            "spent_height": output.spent_height,
            "spent_at": output.spent_at,
        }
        for output in snapshot.stages
    ]


def _penalty_rows(snapshot: InvestmentSnapshot) -> list[dict[str, Any]]:
    return [
        {
            "txid": output.txid,
            "vout": output.vout,
            "project_id": snapshot.project_id,
            "investment_txid": snapshot.txid,
            "stage_vout": output.stage_vout,
            "value_sats": output.value_sats,
            "state": output.state,
            "matures_at": output.matures_at,
            "released_txid": output.released_txid,
            "released_height": output.released_height,
            "released_at": output.released_at,
        }
        for output in snapshot.penalties
    ]

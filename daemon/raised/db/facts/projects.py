"""Projects: their states, stages and sums."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, rows_among
from raised.db.schema import investment, project, stage, stage_output
from raised.domain.angor.project_snapshot import ProjectSnapshot
from raised.domain.ledger import RowKind

SUM_COLUMNS: Final[Mapping[RowKind, str]] = {
    "investment": "raised_sats",
    "claim": "claimed_sats",
    "recovery": "recovery_sats",
    "penalty_release": "penalty_released_sats",
    "unfunded_release": "unfunded_release_sats",
    "penalty_free_recovery": "penalty_free_recovery_sats",
    "end_of_project": "end_of_project_sats",
    "unknown": "unknown_sats",
}
COUNTS: Final = ("unconfirmed_sats", "investments", "investors", "rejected_investments")
_TALLIES: Final = (*SUM_COLUMNS.values(), *COUNTS)


async def add_projects(conn: AsyncConnection, ids: Iterable[str], at: int) -> None:
    """Add these identifiers, hidden until their state is computed."""
    rows = [
        {"id": project_id, "status": "hidden", "flags": "[]", "candidates": 0, "first_seen_at": at}
        for project_id in sorted(set(ids))
    ]
    await add(conn, project, rows)


async def known_projects(conn: AsyncConnection, ids: Iterable[str]) -> set[str]:
    """Those of these identifiers that the record knows."""
    return {row.id for row in await rows_among(conn, select(project.c.id), project.c.id, ids)}


async def project_snapshots(
    conn: AsyncConnection, ids: Iterable[str]
) -> dict[str, ProjectSnapshot]:
    """The stored snapshots of these projects."""
    wanted = list(dict.fromkeys(ids))
    calendar: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    ordered = select(stage).order_by(stage.c.project_id, stage.c.index)
    for row in await rows_among(conn, ordered, stage.c.project_id, wanted):
        calendar[row.project_id].append((row.percent, row.release_at))
    rows = await rows_among(conn, select(project), project.c.id, wanted)
    return {row.id: _snapshot(row, tuple(calendar[row.id])) for row in rows}


async def put_project_snapshots(
    conn: AsyncConnection, snapshots: Sequence[ProjectSnapshot]
) -> None:
    """Update these projects, which are known."""
    if not snapshots:
        return
    rows = [{**_columns(snapshot), "key": snapshot.id} for snapshot in snapshots]
    named: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "key"}
    statement = update(project).where(project.c.id == bindparam("key")).values(named)
    await conn.execute(statement, rows)


async def replace_stages(
    conn: AsyncConnection, snapshots: Sequence[ProjectSnapshot], stale: Iterable[str]
) -> None:
    """Store the stages of these projects; `stale` are those of which other stages are stored."""
    await change_among(conn, delete(stage), stage.c.project_id, stale)
    rows = [
        {"project_id": snapshot.id, "index": index, "percent": percent, "release_at": release_at}
        for snapshot in snapshots
        for index, (percent, release_at) in enumerate(snapshot.stages)
    ]
    await add(conn, stage, rows)


async def add_to_totals(conn: AsyncConnection, tallies: Mapping[str, Mapping[str, int]]) -> None:
    """Add to the sums and counts of projects: by identifier, by column."""
    rows = [
        {"key": key, **{f"add_{name}": changed.get(name, 0) for name in _TALLIES}}
        for key, changed in sorted(tallies.items())
        if any(changed.values())
    ]
    if rows:
        sums = {name: project.c[name] + bindparam(f"add_{name}") for name in _TALLIES}
        statement = update(project).where(project.c.id == bindparam("key")).values(sums)
        await conn.execute(statement, rows)


async def projects_with_key(conn: AsyncConnection, pubkeys: Iterable[str]) -> dict[str, str]:
    """The projects of these nostr keys, with the key."""
    statement = select(project.c.id, project.c.nostr_pubkey)
    rows = await rows_among(conn, statement, project.c.nostr_pubkey, pubkeys)
    return {row.id: row.nostr_pubkey for row in rows}


async def funding_progress(
    conn: AsyncConnection, ids: Iterable[str]
) -> dict[str, tuple[int | None, int, int | None]]:
    """Target, raised sum and when it was reached, by project."""
    columns = (project.c.id, project.c.target_sats, project.c.raised_sats, project.c.reached_at)
    rows = await rows_among(conn, select(*columns), project.c.id, ids)
    return {row.id: (row.target_sats, row.raised_sats, row.reached_at) for row in rows}


async def put_reached_at(conn: AsyncConnection, project_id: str, at: int | None) -> None:
    """Store when the project reached its target."""
    await conn.execute(update(project).where(project.c.id == project_id).values(reached_at=at))


async def confirmed_amounts(conn: AsyncConnection, project_id: str) -> list[tuple[int, int]]:
    """What the confirmed investments of a project added, as (at, sats), in the order of time."""
    statement = (
        select(investment.c.at, investment.c.amount_sats)
        .where(investment.c.project_id == project_id, investment.c.status == "confirmed")
        .order_by(investment.c.at, investment.c.txid)
    )
    return [(row.at, row.amount_sats) for row in await conn.execute(statement)]


async def put_indexed_height(conn: AsyncConnection, project_id: str, height: int) -> None:
    """Store that the project's address history is in the record up to this height."""
    known = or_(project.c.indexed_height.is_(None), project.c.indexed_height < height)
    statement = update(project).where(project.c.id == project_id, known)
    await conn.execute(statement.values(indexed_height=height))


async def reset_indexed_heights(conn: AsyncConnection) -> None:
    """Mark all address histories as incomplete: blocks were passed over unread."""
    await conn.execute(update(project).values(indexed_height=None))


async def update_next_stages(
    conn: AsyncConnection, now: int, ids: Sequence[str] | None = None
) -> None:
    """Let `next_stage_at` be the next release date after now: of these projects, else of all for
    which it has passed.
    """
    fixed = (
        select(func.min(stage.c.release_at))
        .where(stage.c.project_id == project.c.id, stage.c.release_at > now)
        .scalar_subquery()
    )
    dynamic = (
        select(func.min(stage_output.c.release_at))
        .join(investment, investment.c.txid == stage_output.c.txid)
        .where(stage_output.c.project_id == project.c.id, stage_output.c.release_at > now)
        .where(investment.c.status == "confirmed")
        .scalar_subquery()
    )
    moved = case((project.c.type == "invest", fixed), else_=dynamic)
    statement = update(project).values(next_stage_at=moved)
    if ids is None:
        await conn.execute(statement.where(project.c.next_stage_at <= now))
        return
    for start in range(0, len(ids), 500):
        await conn.execute(statement.where(project.c.id.in_(ids[start : start + 500])))


def _snapshot(row: Row[Any], stages: tuple[tuple[str, int], ...]) -> ProjectSnapshot:
    return ProjectSnapshot(
        id=row.id,
        status=row.status,
        reason=row.reason,
        type=row.type,
        version=row.version,
        name=row.name,
        about=row.about,
        picture=row.picture,
        founder_key=row.founder_key,
        nostr_pubkey=row.nostr_pubkey,
        event_id=row.event_id,
        founding_txid=row.founding_txid,
        founded_height=row.founded_height,
        founded_hash=row.founded_hash,
        founded_at=row.founded_at,
        created_at=row.created_at,
        start_at=row.start_at,
        end_at=row.end_at,
        expiry_at=row.expiry_at,
        penalty_days=row.penalty_days,
        target_sats=row.target_sats,
        flags=tuple(json.loads(row.flags)),
        candidates=row.candidates,
        stages=stages,
    )


def _columns(snapshot: ProjectSnapshot) -> dict[str, Any]:
    return {
        "status": snapshot.status,
        "reason": snapshot.reason,
        "type": snapshot.type,
        "version": snapshot.version,
        "name": snapshot.name,
        "about": snapshot.about,
        "picture": snapshot.picture,
        "founder_key": snapshot.founder_key,
        "nostr_pubkey": snapshot.nostr_pubkey,
        "event_id": snapshot.event_id,
        "founding_txid": snapshot.founding_txid,
        "founded_height": snapshot.founded_height,
        "founded_hash": snapshot.founded_hash,
        "founded_at": snapshot.founded_at,
        "created_at": snapshot.created_at,
        "start_at": snapshot.start_at,
        "end_at": snapshot.end_at,
        "expiry_at": snapshot.expiry_at,
        "penalty_days": snapshot.penalty_days,
        "target_sats": snapshot.target_sats,
        "flags": json.dumps(snapshot.flags),
        "candidates": snapshot.candidates,
    }

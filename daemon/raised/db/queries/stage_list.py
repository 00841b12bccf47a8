"""The calendar of a project: what each release date holds, and what became of it."""

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Text, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.instant import instant
from raised.db.items.stage_item import Stage
from raised.db.schema import movement, stage, stage_output
from raised.domain.ledger import MSATS_PER_SAT

_STATES = {
    "claim": "claimed_sats",
    "recovery": "recovery_sats",
    "unfunded_release": "unfunded_release_sats",
    "penalty_free_recovery": "penalty_free_recovery_sats",
    "end_of_project": "end_of_project_sats",
    "unknown": "unknown_sats",
}


class _Date(NamedTuple):
    release_at: int
    place: int | None  # None: every investor of a dynamic stage has dates of his own


async def stage_items(conn: AsyncConnection, project_id: str) -> list[Stage]:
    """Stages by release date, from the rows of the ledger that stand."""
    shares = await _shares(conn, project_id)
    fixed = {date.place for date in shares}
    held: defaultdict[_Date, dict[str, tuple[int, int]]] = defaultdict(dict)
    for release_at, index, kind, number, msats in await _booked(conn, project_id):
        date = _Date(release_at, index if index in fixed else None)
        before = held[date].get(kind, (0, 0))
        held[date][kind] = (before[0] + number, before[1] + msats)
    dates = sorted({*held, *shares}, key=lambda date: (date.release_at, date.place or 0))
    return [_stage(date, shares.get(date), held.get(date, {})) for date in dates]


async def _shares(conn: AsyncConnection, project_id: str) -> dict[_Date, float]:
    statement = select(stage.c.release_at, stage.c.index.label("place"), stage.c.percent).where(
        stage.c.project_id == project_id
    )
    return {
        _Date(row.release_at, row.place): float(Decimal(row.percent))
        for row in await conn.execute(statement)
    }


async def _booked(conn: AsyncConnection, project_id: str) -> list[tuple[int, int, str, int, int]]:
    """(release date, index, kind, rows, millisatoshis) of the rows that no reversal has undone."""
    outpoint = stage_output.c.txid + literal(":") + cast(stage_output.c.vout, Text)
    by = (stage_output.c.release_at, stage_output.c.index, movement.c.kind)
    statement = (
        select(*by, func.count(), func.sum(movement.c.amount_msats))
        .join_from(movement, stage_output, stage_output.c.txid == movement.c.investment_txid)
        .where(
            movement.c.project_id == project_id,
            movement.c.reversed_by.is_(None),
            movement.c.kind != "reversal",
            movement.c.reference == outpoint,
        )
        .group_by(*by)
    )
    return [
        (release_at, index, kind, number, int(msats))
        for release_at, index, kind, number, msats in await conn.execute(statement)
    ]


def _stage(date: _Date, share: float | None, kinds: dict[str, tuple[int, int]]) -> Stage:
    outputs, msats = kinds.get("investment", (0, 0))
    states = {name: kinds.get(kind, (0, 0))[1] // MSATS_PER_SAT for kind, name in _STATES.items()}
    value = msats // MSATS_PER_SAT
    return Stage(
        index=date.place,
        release_at=instant(date.release_at),
        share_percent=share,
        outputs=outputs,
        value_sats=value,
        locked_sats=value - sum(states.values()),
        **states,
    )

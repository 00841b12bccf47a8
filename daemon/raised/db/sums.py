"""Sums over the ledger: whole hours from `hour_total`, what is left of an hour from movements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import hour_total, investment, movement
from raised.domain import ledger

HOUR = 3600

RAISING = ("investment", "payment")
RETURNING = (*sorted(ledger.RETURNING), "refund")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the ledger is asked for."""

    source: str | None = None
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds from `start`, inclusive, to `end`, exclusive."""

    start: int
    end: int


class HourSum(NamedTuple):
    """Millisatoshis of a kind in the hour that starts so."""

    hour: int
    source: str
    kind: str
    msats: int


def msats_of(sums: Mapping[str, int], kinds: Iterable[str]) -> int:
    """The sum of these kinds."""
    return sum(sums.get(kind, 0) for kind in kinds)


async def sums_by_kind(conn: AsyncConnection, window: Window) -> dict[str, int]:
    """Millisatoshis of each kind within a window; a reversal lowers the kind that it undoes."""
    first = -(-window.start // HOUR) * HOUR
    last = max(first, window.end // HOUR * HOUR)
    whole = select(hour_total.c.kind, func.sum(hour_total.c.amount_msats).label("msats")).where(
        hour_total.c.hour >= first, hour_total.c.hour < last
    )
    at = movement.c.at
    edges = _signed().where(
        or_(
            and_(at >= window.start, at < min(first, window.end)),
            and_(at >= last, at < window.end),
        )
    )
    sums: defaultdict[str, int] = defaultdict(int)
    for statement in (whole.group_by(hour_total.c.kind), edges):
        for row in await conn.execute(statement):
            sums[row.kind] += int(row.msats)
    return dict(sums)


async def ends_of_ledger(conn: AsyncConnection, scope: Scope) -> tuple[int | None, int | None]:
    """When the first and the last row happened."""
    conditions = _of(scope)
    first = select(func.min(movement.c.at)).where(*conditions)
    last = select(func.max(movement.c.at)).where(*conditions)
    # Apart: SQLite finds each end of an index at once, both together by a scan.
    return await conn.scalar(first), await conn.scalar(last)


async def hourly(
    conn: AsyncConnection, kinds: Iterable[str], scope: Scope, end: int
) -> list[tuple[int, str, int]]:
    """(hour's start, kind, millisatoshis) before `end`, which is a whole hour."""
    statement = (
        select(hour_total.c.hour, hour_total.c.kind, func.sum(hour_total.c.amount_msats))
        .where(hour_total.c.kind.in_(sorted(kinds)), hour_total.c.hour < end)
        .group_by(hour_total.c.hour, hour_total.c.kind)
    )
    if scope.source is not None:
        statement = statement.where(hour_total.c.source == scope.source)
    if scope.project_id is not None:
        statement = statement.where(hour_total.c.owner == scope.project_id)
    return [(hour, kind, int(msats)) for hour, kind, msats in await conn.execute(statement)]


async def newest_movement(conn: AsyncConnection) -> int:
    """The id of the last row of the ledger; 0 when it is empty."""
    return int(await conn.scalar(select(func.max(movement.c.id))) or 0)


async def all_hours(conn: AsyncConnection) -> list[HourSum]:
    """The sums of every hour, whoever they belong to."""
    columns = hour_total.c
    by = (columns.hour, columns.source, columns.kind)
    statement = select(*by, func.sum(columns.amount_msats)).group_by(*by)
    return [HourSum(*row[:3], int(row[3])) for row in await conn.execute(statement)]


async def hours_after(conn: AsyncConnection, movement_id: int) -> list[HourSum]:
    """What the rows after this one add to the sums of hours; reversals are negative."""
    hour = (movement.c.at // HOUR * HOUR).label("hour")
    source = movement.c.source.label("source")
    statement = _signed(hour, source).where(movement.c.id > movement_id)
    return [
        HourSum(row.hour, row.source, row.kind, int(row.msats))
        for row in await conn.execute(statement)
    ]


async def quarterly(
    conn: AsyncConnection, kinds: Iterable[str], scope: Scope, end: int
) -> list[tuple[int, str, int]]:
    """The same by quarters of an hour, from movements: for time zones off the whole hour."""
    quarter = (movement.c.at // 900 * 900).label("quarter")
    statement = _signed(quarter).where(movement.c.at < end, *_of(scope))
    wanted = frozenset(kinds)
    return [
        (row.quarter, row.kind, int(row.msats))
        for row in await conn.execute(statement)
        if row.kind in wanted
    ]


async def contributions_at(
    conn: AsyncConnection, step: int, scope: Scope, end: int
) -> list[tuple[int, int]]:
    """(start, number) of contributions in steps of so many seconds, before `end`."""
    start = (investment.c.at // step * step).label("start")
    if scope.source not in {None, "angor"}:
        return []
    statement = (
        select(start, func.count())
        .where(investment.c.status == "confirmed", investment.c.at < end)
        .group_by(start)
    )
    if scope.project_id is not None:
        statement = statement.where(investment.c.project_id == scope.project_id)
    return [(at, number) for at, number in await conn.execute(statement)]


async def contributions_in(conn: AsyncConnection, window: Window) -> int:
    """How many contributions were made within a window."""
    statement = select(func.count()).where(
        investment.c.status == "confirmed",
        investment.c.at >= window.start,
        investment.c.at < window.end,
    )
    return int(await conn.scalar(statement) or 0)


def _of(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if scope.source is not None:
        conditions.append(movement.c.source == scope.source)
    if scope.project_id is not None:
        conditions.append(movement.c.project_id == scope.project_id)
    return conditions


def _signed(*by: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """Movements summed by the kind they speak of, and `by`; reversals count against it."""
    undone = movement.alias("undone")
    kind = func.coalesce(undone.c.kind, movement.c.kind).label("kind")
    amount = case(
        (movement.c.kind == "reversal", -movement.c.amount_msats), else_=movement.c.amount_msats
    )
    return (
        select(*by, kind, func.sum(amount).label("msats"))
        .select_from(movement.outerjoin(undone, undone.c.id == movement.c.reverses))
        .group_by(*by, kind)
    )

"""Sums over the ledger: whole hours from `hour_total`, what is left of an hour from movements."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import hour_total, investment, invoice, movement

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the ledger is asked for; None: all of it.

    With `project_ids` only what they brought, and the invoices of `campaign` when that is named.
    """

    source: str | None = None
    project_ids: tuple[str, ...] | None = None
    campaign: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no owner is left out."""
        return self.project_ids is None

    @property
    def has_projects(self) -> bool:
        """Whether investments may be part of it."""
        return self.source != "btcpay" and (self.is_everything or bool(self.project_ids))

    @property
    def has_invoices(self) -> bool:
        """Whether invoices may be part of it."""
        return self.source != "angor" and (self.is_everything or self.campaign is not None)

    @property
    def owners(self) -> tuple[str, ...]:
        """The names under which its hours are summed."""
        return (*(self.project_ids or ()), *((self.campaign,) if self.campaign else ()))

    def of_invoices(self, statement: Select[Any]) -> Select[Any]:
        """Only the invoices that are part of it, given that some may be."""
        if self.campaign is None:
            return statement
        return statement.where(invoice.c.campaign == self.campaign)


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


async def sums_by_kind(conn: AsyncConnection, window: Window, scope: Scope) -> dict[str, int]:
    """Millisatoshis of each kind within a window; a reversal lowers the kind that it undoes."""
    first = -(-window.start // HOUR) * HOUR
    last = max(first, window.end // HOUR * HOUR)
    whole = select(hour_total.c.kind, func.sum(hour_total.c.amount_msats).label("msats")).where(
        hour_total.c.hour >= first, hour_total.c.hour < last, *_of_hours(scope)
    )
    at = movement.c.at
    edges = _signed().where(
        or_(
            and_(at >= window.start, at < min(first, window.end)),
            and_(at >= last, at < window.end),
        ),
        *of_scope(scope),
    )
    sums: defaultdict[str, int] = defaultdict(int)
    for statement in (whole.group_by(hour_total.c.kind), edges):
        for row in await conn.execute(statement):
            sums[row.kind] += int(row.msats)
    return dict(sums)


async def ends_of_ledger(conn: AsyncConnection, scope: Scope) -> tuple[int | None, int | None]:
    """When the first and the last row happened."""
    conditions = of_scope(scope)
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
        .where(hour_total.c.kind.in_(sorted(kinds)), hour_total.c.hour < end, *_of_hours(scope))
        .group_by(hour_total.c.hour, hour_total.c.kind)
    )
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
    statement = _signed(quarter).where(movement.c.at < end, *of_scope(scope))
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
    found: list[tuple[int, int]] = []
    for at, statement in _contributions(scope):
        start = (at // step * step).label("start")
        counted = statement.with_only_columns(start, func.count()).where(at < end).group_by(start)
        found += [(int(first), int(number)) for first, number in await conn.execute(counted)]
    return found


async def contributions_in(conn: AsyncConnection, window: Window, scope: Scope) -> int:
    """How many contributions were made within a window."""
    number = 0
    for at, statement in _contributions(scope):
        counted = statement.with_only_columns(func.count()).where(at >= window.start)
        number += int(await conn.scalar(counted.where(at < window.end)) or 0)
    return number


def _contributions(scope: Scope) -> Iterator[tuple[ColumnElement[int], Select[Any]]]:
    """The contributions of each rail, with the column that says when they were made."""
    if scope.has_projects:
        confirmed = select(investment.c.txid).where(investment.c.status == "confirmed")
        if scope.project_ids is not None:
            confirmed = confirmed.where(investment.c.project_id.in_(scope.project_ids))
        yield investment.c.at, confirmed
    if scope.has_invoices:
        counted = select(invoice.c.id).where(invoice.c.first_counted_at.is_not(None))
        if scope.campaign is not None:  # by its time: a campaign's invoices may be most of them
            counted = counted.where(func.coalesce(invoice.c.campaign, "") == scope.campaign)
        yield invoice.c.first_counted_at, counted


async def invoices_at(
    conn: AsyncConnection, step: int, scope: Scope, end: int
) -> list[tuple[int, int]]:
    """(start, number) of invoices created in steps of so many seconds, before `end`."""
    if not scope.has_invoices:
        return []
    start = (invoice.c.created_at // step * step).label("start")
    created = select(start, func.count()).where(invoice.c.created_at < end).group_by(start)
    rows = await conn.execute(scope.of_invoices(created))
    return [(int(first), int(number)) for first, number in rows]


async def first_invoice_at(conn: AsyncConnection, scope: Scope) -> int | None:
    """When the first invoice was created."""
    if not scope.has_invoices:
        return None
    first = await conn.scalar(scope.of_invoices(select(func.min(invoice.c.created_at))))
    return None if first is None else int(first)


def of_scope(scope: Scope) -> list[ColumnElement[bool]]:
    """The movements that are part of it."""
    conditions: list[ColumnElement[bool]] = []
    if scope.source is not None:
        conditions.append(movement.c.source == scope.source)
    if scope.project_ids is not None:
        mine: ColumnElement[bool] = movement.c.project_id.in_(scope.project_ids)
        if scope.campaign is not None:
            mine = or_(mine, _of_campaign(scope.campaign))
        conditions.append(mine)
    return conditions


def _of_campaign(name: str) -> ColumnElement[bool]:
    member = select(invoice.c.id).where(
        invoice.c.store == movement.c.store,
        invoice.c.id == movement.c.invoice_id,
        invoice.c.campaign == name,
    )
    return and_(movement.c.source == "btcpay", member.exists())


def _of_hours(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if scope.source is not None:
        conditions.append(hour_total.c.source == scope.source)
    if not scope.is_everything:
        conditions.append(hour_total.c.owner.in_(scope.owners))
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

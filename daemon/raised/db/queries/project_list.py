"""Which projects a list shows, in which order."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, beyond, cut
from raised.db.schema import project

SortKey = Literal["created", "raised", "net", "percent", "investors", "ending"]

_LAST = 2**62  # stands for no value where the greatest comes last


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """None or empty: not asked for. `since` and `until` are about `created_at`."""

    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    text: str | None = None
    ids: tuple[str, ...] | None = None  # of a campaign
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by; projects without that value come last either way."""

    key: SortKey
    descending: bool


async def list_projects(
    conn: AsyncConnection, wanted: ProjectFilter, order: Order, after: Place | None, limit: int
) -> Page[str]:
    """A page of project identifiers."""
    value = _sort_value(order).label("value")
    key = project.c.id
    statement = select(value, key).where(*_conditions(wanted)).limit(limit + 1)
    if after is not None:
        statement = statement.where(beyond(value, key, after, descending=order.descending))
    if order.descending:
        statement = statement.order_by(value.desc(), key.desc())
    else:
        statement = statement.order_by(value, key)
    rows = [(int(row.value), str(row.id)) for row in await conn.execute(statement)]
    return cut(rows, limit)


def _conditions(wanted: ProjectFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(project.c.status.in_(wanted.statuses))
    if wanted.types:
        conditions.append(project.c.type.in_(wanted.types))
    if wanted.ids is not None:
        conditions.append(project.c.id.in_(wanted.ids))
    if wanted.since is not None:
        conditions.append(project.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(project.c.created_at < wanted.until)
    if wanted.text:
        columns = (project.c.name, project.c.about, project.c.id)
        conditions.append(
            or_(*(column.icontains(wanted.text, autoescape=True) for column in columns))
        )
    return conditions


def _sort_value(order: Order) -> ColumnElement[int]:
    missing = -1 if order.descending else _LAST
    columns = project.c
    match order.key:
        case "created":
            return func.coalesce(columns.created_at, missing)
        case "raised":
            return columns.raised_sats
        case "net":
            returned = (
                columns.recovery_sats
                + columns.unfunded_release_sats
                + columns.penalty_free_recovery_sats
                + columns.end_of_project_sats
            )
            return columns.raised_sats - returned
        case "percent":
            tenths = columns.raised_sats * 1000 // columns.target_sats
            return case((columns.target_sats > 0, tenths), else_=missing)
        case "investors":
            return columns.investors
        case "ending":
            return func.coalesce(columns.end_at, missing)

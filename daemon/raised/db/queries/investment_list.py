"""Which investments a list shows: newest first."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, beyond, cut
from raised.db.schema import investment

INVESTMENT_STATUSES = ("confirmed", "unconfirmed", "dropped", "unverified", "rejected")


@dataclass(frozen=True, slots=True)
class InvestmentFilter:
    """`since` and `until` are about `at`; empty or None: not asked for."""

    statuses: tuple[str, ...] = INVESTMENT_STATUSES
    reasons: tuple[str, ...] = ()
    project_id: str | None = None
    since: int | None = None
    until: int | None = None


async def list_investments(
    conn: AsyncConnection, wanted: InvestmentFilter, after: Place | None, limit: int
) -> Page[str]:
    """A page of txids.

    Each status is asked for on its own, because there is an index for that order; merged here.
    """
    rows: list[tuple[int, str]] = []
    at, key = investment.c.at, investment.c.txid
    for status in dict.fromkeys(wanted.statuses):
        statement = (
            select(at, key)
            .where(investment.c.status == status, *_conditions(wanted))
            .order_by(at.desc(), key.desc())
            .limit(limit + 1)
        )
        if after is not None:
            statement = statement.where(beyond(at, key, after, descending=True))
        rows.extend((int(row.at), str(row.txid)) for row in await conn.execute(statement))
    rows.sort(reverse=True)
    return cut(rows[: limit + 1], limit)


def _conditions(wanted: InvestmentFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.reasons:
        conditions.append(investment.c.reason.in_(wanted.reasons))
    if wanted.project_id is not None:
        conditions.append(investment.c.project_id == wanted.project_id)
    if wanted.since is not None:
        conditions.append(investment.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(investment.c.at < wanted.until)
    return conditions

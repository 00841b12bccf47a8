"""The investors of a project: newest first, by their first confirmed investment."""

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.instant import instant
from raised.db.items.investor_item import Investor
from raised.db.queries.paging import Place
from raised.db.schema import investment


async def list_investors(
    conn: AsyncConnection, project_id: str, after: Place | None, limit: int
) -> tuple[list[Investor], Place | None]:
    """A page of investors, and where the next page goes on."""
    key = investment.c.investor_key
    first = func.min(investment.c.at)
    statement = (
        select(
            key,
            func.count().label("investments"),
            func.sum(investment.c.amount_sats).label("raised"),
            func.sum(investment.c.returned_sats).label("returned"),
            first.label("first"),
            func.max(investment.c.at).label("last"),
        )
        .where(investment.c.project_id == project_id, investment.c.status == "confirmed")
        .group_by(key)
        .order_by(first.desc(), key.desc())
        .limit(limit + 1)
    )
    if after is not None:
        at, last_key = after
        statement = statement.having(or_(first < at, (first == at) & (key < last_key)))
    rows = (await conn.execute(statement)).all()
    investors = [
        Investor(
            investor_key=row.investor_key,
            investments=row.investments,
            raised_sats=int(row.raised),
            returned_sats=int(row.returned),
            first_at=instant(row.first),
            last_at=instant(row.last),
        )
        for row in rows[:limit]
    ]
    if len(rows) <= limit:
        return investors, None
    return investors, (rows[limit - 1].first, rows[limit - 1].investor_key)

"""The feed: changes in the order of their numbers."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.change_item import Change, change_item
from raised.db.queries.as_of import newest_seq
from raised.db.schema import change, daemon


@dataclass(frozen=True, slots=True)
class Head:
    """The ends of the feed, and when the daemon last said that it lives."""

    seq: int  # 0: nothing happened yet
    oldest: int | None
    seen_at: int | None


async def read_head(conn: AsyncConnection) -> Head:
    """Where the feed begins and ends now."""
    # Three separate subqueries: SQLite finds each end of an index at once, both together by a scan.
    row = (
        await conn.execute(
            select(
                newest_seq().label("seq"),
                select(func.min(change.c.seq)).scalar_subquery().label("oldest"),
                select(func.max(daemon.c.seen_at)).scalar_subquery().label("seen_at"),
            )
        )
    ).one()
    return Head(row.seq, row.oldest, row.seen_at)


async def changes_after(
    conn: AsyncConnection,
    seq: int,
    limit: int,
    types: Collection[str] = (),
    hidden: Collection[str] = (),
) -> list[Change]:
    """Up to `limit` changes after number `seq`, oldest first, of these types or all; none whose
    type begins with one of `hidden`.
    """
    statement = select(change).where(change.c.seq > seq).order_by(change.c.seq).limit(limit)
    for beginning in hidden:
        statement = statement.where(~change.c.type.startswith(beginning, autoescape=True))
    if types:
        statement = statement.where(change.c.type.in_(sorted(types)))
    return [change_item(row) for row in await conn.execute(statement)]

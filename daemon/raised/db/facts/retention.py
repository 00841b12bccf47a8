"""Retention: old changes and deliveries, and projects that are announced but not founded."""

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import change_among
from raised.db.schema import change, delivery, project, tx_project


async def drop_old_changes(conn: AsyncConnection, before: int) -> int:
    """Drop changes from before this time, but never the newest one; how many were dropped.

    The newest stays: its number is the version that every answer of the API carries.
    """
    newest = await conn.scalar(select(func.max(change.c.seq))) or 0
    deleted = await conn.execute(delete(change).where(change.c.at < before, change.c.seq < newest))
    return deleted.rowcount


async def drop_old_deliveries(conn: AsyncConnection, before: int) -> int:
    """Drop deliveries received before this time that were acted on; how many were dropped.

    One that still waits may prove to which invoice a refund belongs.
    """
    acted_on = delivery.c.processed_at.is_not(None)
    deleted = await conn.execute(delete(delivery).where(delivery.c.received_at < before, acted_on))
    return deleted.rowcount


async def drop_announced(conn: AsyncConnection, keep: int) -> set[str]:
    """Drop the projects seen first among those only announced, beyond `keep`; their identifiers.

    No transaction may name them. Their events stay, so that a founding transaction that comes
    later still has its event. Rejected announcements are dropped, too: anybody may write many.
    """
    paid = exists().where(tx_project.c.project_id == project.c.id)
    beyond = (
        select(project.c.id)
        .where(project.c.status.in_(("announced", "rejected")), ~paid)
        .order_by(project.c.first_seen_at.desc(), project.c.id)
        .offset(keep)
    )
    ids = set(await conn.scalars(beyond))
    await change_among(conn, delete(project), project.c.id, sorted(ids))
    return ids

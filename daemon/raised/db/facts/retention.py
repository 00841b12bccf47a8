"""What is not kept for ever: old changes and deliveries, projects that are nothing but words."""

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import change, delivery, project, tx_project


async def drop_old_changes(conn: AsyncConnection, before: int) -> int:
    """Drop changes from before this time, but never the newest one; how many went.

    The newest stays because its number is what answers stand on.
    """
    newest = await conn.scalar(select(func.max(change.c.seq))) or 0
    gone = await conn.execute(delete(change).where(change.c.at < before, change.c.seq < newest))
    return gone.rowcount


async def drop_old_deliveries(conn: AsyncConnection, before: int) -> int:
    """Drop deliveries received before this time that were acted on; how many went.

    One that still waits may prove whose a refund is.
    """
    acted_on = delivery.c.processed_at.is_not(None)
    gone = await conn.execute(delete(delivery).where(delivery.c.received_at < before, acted_on))
    return gone.rowcount


async def drop_announced(conn: AsyncConnection, keep: int) -> int:
    """Drop the projects seen first among those only announced, beyond `keep`; how many went.

    Nothing on the chain may name them. Their events stay, so that a founding transaction that
    comes after all finds them. A rejected announcement is one, too: anybody may write any number.
    """
    named = exists().where(tx_project.c.project_id == project.c.id)
    only_announced = (project.c.status.in_(("announced", "rejected")), ~named)
    beyond = (
        select(project.c.id)
        .where(*only_announced)
        .order_by(project.c.first_seen_at.desc(), project.c.id)
        .offset(keep)
    )
    ids = list(await conn.scalars(beyond))
    for start in range(0, len(ids), 500):
        await conn.execute(delete(project).where(project.c.id.in_(ids[start : start + 500])))
    return len(ids)

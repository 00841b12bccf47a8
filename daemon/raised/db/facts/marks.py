"""Marks of the whole record: whether the first sync has ended, and whether it is complete now."""

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.schema import meta

FIRST_SYNC_ENDED: Final = "first_sync_ended_at"  # Unix seconds
COMPLETE: Final = "complete"
GAP: Final = "gap"  # blocks were passed over, and the histories that tell of them are not all read
TRUE: Final = "true"
_FALSE: Final = "false"


async def put_first_sync_ended(conn: AsyncConnection, at: int) -> None:
    """Store when the first sync ended. It is never taken back."""
    await _put(conn, FIRST_SYNC_ENDED, str(at))


async def is_complete(conn: AsyncConnection) -> bool:
    """Whether every source, and all that follows from what it gave, is in the record."""
    return await conn.scalar(select(meta.c.value).where(meta.c.key == COMPLETE)) == TRUE


async def put_complete(conn: AsyncConnection, *, complete: bool) -> None:
    """Store whether every source, and all that follows from what it gave, is in the record."""
    await _put(conn, COMPLETE, TRUE if complete else _FALSE)


async def put_gap(conn: AsyncConnection) -> None:
    """Store that blocks were passed over unread."""
    await _put(conn, GAP, TRUE)


async def drop_gap(conn: AsyncConnection) -> None:
    """Store that what the blocks passed over held is in the record."""
    await conn.execute(delete(meta).where(meta.c.key == GAP))


async def _put(conn: AsyncConnection, key: str, value: str) -> None:
    await put(conn, meta, [{"key": key, "value": value}])

"""Marks of the whole record: whether the first sync has ended, and whether it is complete now."""

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.schema import meta

FIRST_SYNC_ENDED: Final = "first_sync_ended_at"  # Unix seconds
COMPLETE: Final = "complete"
# When (Unix seconds) every source had been read for the first time: what is announced later is not
# part of the first sync. Anybody can announce a project each second, and it would never end.
FIRST_READ: Final = "first_read_at"
# When blocks were passed over (Unix seconds), while histories that tell of them are not all read.
GAP: Final = "gap"
TRUE: Final = "true"
_FALSE: Final = "false"


async def put_first_sync_ended(conn: AsyncConnection, at: int) -> None:
    """Store when the first sync ended. It is never taken back."""
    await _put(conn, FIRST_SYNC_ENDED, str(at))
    await _drop(conn, FIRST_READ)


async def put_first_read(conn: AsyncConnection, at: int) -> None:
    """Store when every source had been read for the first time."""
    await _put(conn, FIRST_READ, str(at))


async def is_complete(conn: AsyncConnection) -> bool:
    """Whether every source, and all that follows from what it gave, is in the record."""
    return await conn.scalar(select(meta.c.value).where(meta.c.key == COMPLETE)) == TRUE


async def put_complete(conn: AsyncConnection, *, complete: bool) -> None:
    """Store whether every source, and all that follows from what it gave, is in the record."""
    await _put(conn, COMPLETE, TRUE if complete else _FALSE)


async def put_gap(conn: AsyncConnection, at: int) -> None:
    """Store that blocks were passed over unread."""
    await _put(conn, GAP, str(at))


async def drop_gap(conn: AsyncConnection) -> None:
    """Store that what the blocks passed over held is in the record."""
    await _drop(conn, GAP)


async def _drop(conn: AsyncConnection, key: str) -> None:
    await conn.execute(delete(meta).where(meta.c.key == key))


async def _put(conn: AsyncConnection, key: str, value: str) -> None:
    await put(conn, meta, [{"key": key, "value": value}])

"""How far the daemon's long pieces of work are."""

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import daemon


class Progress(msgspec.Struct, frozen=True):
    what: str
    done: int  # of `total`, which ends it
    total: int


async def read_progress(conn: AsyncConnection) -> list[Progress]:
    """All work that the running daemon has begun, finished or not."""
    text = await conn.scalar(select(daemon.c.progress))
    if text is None:
        return []
    found = msgspec.json.decode(text, type=dict[str, tuple[int, int]])
    return [Progress(what, done, total) for what, (done, total) in sorted(found.items())]

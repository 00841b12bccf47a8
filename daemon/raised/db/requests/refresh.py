"""A request to pull now: the API asks, the daemon does."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.schema import refresh

ONE_SECONDS: Final = 10  # requests within this time are one


async def request_refresh(conn: AsyncConnection, at: int) -> int:
    """Ask for a pull, unless somebody just has; when the request that holds was made."""
    last = await conn.scalar(select(refresh.c.requested_at))
    if last is not None and 0 <= at - last < ONE_SECONDS:
        return int(last)
    await put(conn, refresh, [{"id": 1, "requested_at": at}])
    return at

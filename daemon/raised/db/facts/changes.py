"""Changes: the feed. Numbers are given out by the one writer, so they grow in commit order."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, put
from raised.db.schema import change, counter


async def reserve_numbers(conn: AsyncConnection, name: str, count: int) -> int:
    """Take `count` new numbers of this counter; the first of them."""
    last = await conn.scalar(select(counter.c.value).where(counter.c.name == name)) or 0
    await put(conn, counter, [{"name": name, "value": last + count}])
    return last + 1


async def add_changes(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add changes; `data` of each is its item, other keys are those of the table."""
    await add(
        conn, change, [row | {"data": msgspec.json.encode(row["data"]).decode()} for row in rows]
    )

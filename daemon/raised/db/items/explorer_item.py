"""A block explorer as the API shows it: its health, and its view of the chain."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.items.source_item import Source, source_facts, source_fields, source_rows


class Explorer(Source, frozen=True):
    flavour: str | None
    height: int | None
    hash: str | None
    verify: str | None
    requests_today: int
    disagrees_with: list[str]


async def explorer_items(
    conn: AsyncConnection, names: Iterable[str] | None = None
) -> dict[str, Explorer]:
    """Explorers by address, in the order of addresses; all of them without `names`."""
    rows = await source_rows(conn, schema.explorer, names)
    return {row.name: _explorer(row) for row in rows}


def _explorer(row: Row[Any]) -> Explorer:
    facts = source_facts(row)
    return Explorer(
        **source_fields(row),
        flavour=facts.get("flavour"),
        height=facts.get("height"),
        hash=facts.get("hash"),
        verify=facts.get("verify"),
        requests_today=facts.get("requests_today", 0),
        disagrees_with=facts.get("disagrees_with", []),
    )

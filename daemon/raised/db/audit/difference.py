"""What `raised db check` compares with: figures that are kept, and the same computed anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import movement
from raised.domain.ledger import REVERSAL


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what it should be: `what` of `where`."""

    what: str
    where: str
    kept: object
    computed: object

    def __str__(self) -> str:
        return f"{self.what} of {self.where}: kept {self.kept}, computed {self.computed}"


def active() -> ColumnElement[bool]:
    """A row that no reversal has undone."""
    return and_(movement.c.reversed_by.is_(None), movement.c.kind != REVERSAL)


def compare(what: str, kept: Mapping[Any, int], computed: Mapping[Any, int]) -> list[Difference]:
    """Where two lists of figures differ; what one of them lacks is 0 there."""
    return [
        Difference(what, str(key), kept.get(key, 0), computed.get(key, 0))
        for key in sorted({*kept, *computed}, key=str)
        if kept.get(key, 0) != computed.get(key, 0)
    ]


async def numbered(conn: AsyncConnection, statement: Select[Any], unit: int = 1) -> dict[Any, int]:
    """The rows of a statement: the last column, in units, by all others."""
    rows = [tuple(row) for row in await conn.execute(statement)]
    return {row[:-1] if len(row[:-1]) > 1 else row[0]: int(row[-1]) // unit for row in rows}

"""Which movements a list shows: newest first, by when they happened."""

from dataclasses import dataclass
from typing import get_args

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.page import Page, Place, beyond, cut
from raised.db.schema import movement
from raised.db.sums import Scope, of_scope
from raised.domain.ledger import REVERSAL, AngorKind

MOVEMENT_KINDS: tuple[str, ...] = (*get_args(AngorKind), "payment", "refund", REVERSAL)


@dataclass(frozen=True, slots=True)
class MovementFilter:
    """`since` and `until` are about `at`; empty or None: not asked for."""

    scope: Scope
    kinds: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


async def list_movements(
    conn: AsyncConnection, wanted: MovementFilter, after: Place | None, limit: int
) -> Page[int]:
    """A page of movement ids."""
    at, key = movement.c.at, movement.c.id
    statement = (
        select(at, key).where(*_conditions(wanted)).order_by(at.desc(), key.desc()).limit(limit + 1)
    )
    if after is not None:
        statement = statement.where(
            at <= after[0],  # the index begins with it
            beyond(at, key, after, descending=True),
        )
    return cut([(int(row.at), int(row.id)) for row in await conn.execute(statement)], limit)


def _conditions(wanted: MovementFilter) -> list[ColumnElement[bool]]:
    conditions = of_scope(wanted.scope)
    if wanted.kinds:
        conditions.append(movement.c.kind.in_(wanted.kinds))
    if wanted.since is not None:
        conditions.append(movement.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(movement.c.at < wanted.until)
    return conditions

"""Which movements a list shows: newest first, by when they happened."""

from dataclasses import dataclass
from typing import Final, get_args

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, beyond, cut
from raised.db.queries.sums import Scope, of_scope
from raised.db.schema import movement
from raised.domain.ledger import REVERSAL, AngorKind
from raised.errors import InvalidInput

MOVEMENT_KINDS: tuple[str, ...] = (*get_args(AngorKind), "payment", "refund", REVERSAL)
_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class MovementFilter:
    """`since` and `until` are about `at`; empty or None: not asked for.

    `by_hour`: of BTCPay's rows the asker is shown the hour alone, so nothing finer is compared.
    """

    scope: Scope
    kinds: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    by_hour: bool = False


async def list_movements(
    conn: AsyncConnection, wanted: MovementFilter, after: int | None, limit: int
) -> Page[int]:
    """A page of movement ids, after the movement with the id `after`.

    Raises:
        InvalidInput: there is no such movement.
    """
    at, key = movement.c.at, movement.c.id
    statement = (
        select(at, key).where(*_conditions(wanted)).order_by(at.desc(), key.desc()).limit(limit + 1)
    )
    if after is not None:
        place = await _place_of(conn, after)
        statement = statement.where(
            at <= place[0],  # the index begins with it
            beyond(at, key, place, descending=True),
        )
    return cut([(int(row.at), int(row.id)) for row in await conn.execute(statement)], limit)


async def _place_of(conn: AsyncConnection, movement_id: int) -> Place:
    found = await conn.scalar(select(movement.c.at).where(movement.c.id == movement_id))
    if found is None:
        raise InvalidInput("the cursor names no movement")
    return int(found), movement_id


def _conditions(wanted: MovementFilter) -> list[ColumnElement[bool]]:
    conditions = of_scope(wanted.scope)
    if wanted.kinds:
        conditions.append(movement.c.kind.in_(wanted.kinds))
    if wanted.since is not None:
        conditions.append(movement.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(
            movement.c.at < (_hour_from(wanted.until) if wanted.by_hour else wanted.until)
        )
    if wanted.by_hour:
        conditions += _by_hour(wanted)
    return conditions


def _by_hour(wanted: MovementFilter) -> list[ColumnElement[bool]]:
    """Each row compared by the time that is shown: BTCPay's by the start of their hour."""
    conditions: list[ColumnElement[bool]] = []
    is_btcpay = movement.c.source == "btcpay"
    if wanted.since is not None:
        conditions.append(or_(~is_btcpay, movement.c.at >= _hour_from(wanted.since)))
    if wanted.until is not None:
        conditions.append(or_(is_btcpay, movement.c.at < wanted.until))
    return conditions


def _hour_from(at: int) -> int:
    """The first start of an hour at this time or later."""
    return -(-at // _HOUR_SECONDS) * _HOUR_SECONDS

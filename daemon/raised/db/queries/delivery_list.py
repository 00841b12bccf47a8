"""Which deliveries a list shows: newest first, by when they came."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, beyond, cut
from raised.db.schema import delivery


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """`since` and `until` are about when we received it; empty or None: not asked for."""

    types: tuple[str, ...] = ()
    store: str | None = None
    invoice_id: str | None = None
    since: int | None = None
    until: int | None = None


async def list_deliveries(
    conn: AsyncConnection, wanted: DeliveryFilter, after: Place | None, limit: int
) -> Page[int]:
    """A page of delivery rows."""
    at, key = delivery.c.received_at, delivery.c.id
    statement = (
        select(at, key).where(*_conditions(wanted)).order_by(at.desc(), key.desc()).limit(limit + 1)
    )
    if after is not None:
        statement = statement.where(
            at <= after[0],  # the index begins with it
            beyond(at, key, after, descending=True),
        )
    return cut(
        [(int(row.received_at), int(row.id)) for row in await conn.execute(statement)], limit
    )


def _conditions(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.types:
        conditions.append(delivery.c.type.in_(wanted.types))
    if wanted.store is not None:
        conditions.append(delivery.c.store == wanted.store)
    if wanted.invoice_id is not None:
        conditions.append(delivery.c.invoice_id == wanted.invoice_id)
    if wanted.since is not None:
        conditions.append(delivery.c.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(delivery.c.received_at < wanted.until)
    return conditions

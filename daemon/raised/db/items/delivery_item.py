"""A webhook delivery as the API shows it: what it named, never its body."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.bulk import rows_among
from raised.db.items.instant import Time, instant


class Delivery(msgspec.Struct, frozen=True):
    store: str
    delivery_id: str
    original_delivery_id: str
    type: str
    invoice_id: str | None
    sent_at: Time | None
    received_at: Time | None
    processed_at: Time | None
    redelivery: bool
    result: str | None


async def delivery_items(conn: AsyncConnection, ids: Iterable[int]) -> dict[int, Delivery]:
    """Deliveries by row number, in the order of `ids`; unknown ones are left out."""
    wanted = list(dict.fromkeys(ids))
    rows = await rows_among(conn, select(schema.delivery), schema.delivery.c.id, wanted)
    deliveries = {row.id: _delivery(row) for row in rows}
    return {key: deliveries[key] for key in wanted if key in deliveries}


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        store=row.store,
        delivery_id=row.delivery_id,
        original_delivery_id=row.original_delivery_id,
        type=row.type,
        invoice_id=row.invoice_id,
        sent_at=instant(row.sent_at),
        received_at=instant(row.received_at),
        processed_at=instant(row.processed_at),
        redelivery=row.redelivery,
        result=row.result,
    )

"""The inbox: what stores' servers told the API, for the daemon to act on.

A delivery is kept by what it names, never as it came: bodies name buyers. The API alone adds rows,
the daemon alone acts on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import accumulate, add
from raised.db.schema import daemon, delivery, refused_delivery

TEST: Final = "test"  # the result of what a "send test event" button sent


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of a store's server to tell something. `is_test`: there is nothing to act on."""

    store: str
    webhook_id: str
    delivery_id: str
    original_delivery_id: str
    type: str
    invoice_id: str | None
    pull_payment_id: str | None
    redelivery: bool
    sent_at: int
    received_at: int
    is_test: bool = False


async def add_deliveries(conn: AsyncConnection, deliveries: Sequence[Delivery]) -> None:
    """Add deliveries; those that are held already are left as they are."""
    await add(conn, delivery, [_columns(one) for one in deliveries])


async def count_refused(
    conn: AsyncConnection, counts: Mapping[tuple[str, str], int], at: int
) -> None:
    """Add to the numbers of refused requests by (store, reason); the last of each came at `at`."""
    rows = [
        {"store": store, "reason": reason, "count": number, "last_at": at}
        for (store, reason), number in sorted(counts.items())
    ]
    await accumulate(conn, refused_delivery, rows, ("count",), newest=("last_at",))


class _Store(msgspec.Struct, frozen=True):
    label: str
    store_id: str


class _Settings(msgspec.Struct, frozen=True):
    stores: tuple[_Store, ...] = ()


async def store_ids(conn: AsyncConnection) -> dict[str, str]:
    """The id of each store that the daemon follows, by label."""
    text = await conn.scalar(select(daemon.c.settings))
    if text is None:
        return {}
    settings = msgspec.json.decode(text, type=_Settings)
    return {store.label: store.store_id for store in settings.stores}


def _columns(one: Delivery) -> dict[str, object]:
    return {
        "store": one.store,
        "webhook_id": one.webhook_id,
        "delivery_id": one.delivery_id,
        "original_delivery_id": one.original_delivery_id,
        "type": one.type,
        "invoice_id": one.invoice_id,
        "pull_payment_id": one.pull_payment_id,
        "redelivery": one.redelivery,
        "sent_at": one.sent_at,
        "received_at": one.received_at,
        "processed_at": one.received_at if one.is_test else None,
        "result": TEST if one.is_test else None,
    }

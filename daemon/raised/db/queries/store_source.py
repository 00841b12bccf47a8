"""What the store source asks of the record: deliveries to act on, invoices to ask for again."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import rows_among
from raised.db.facts.cursors import FULL_SWEEP, STORE, cursor_of
from raised.db.schema import delivery, invoice, invoice_payment, payout, refresh
from raised.domain.btcpay.invoice_snapshot import PaymentKey

_OPEN = ("New", "Processing")


class Waiting(NamedTuple):
    """A delivery that was not acted on yet."""

    id: int
    type: str
    invoice_id: str | None
    pull_payment_id: str | None
    received_at: int


async def pending_deliveries(conn: AsyncConnection, label: str, limit: int) -> list[Waiting]:
    """Deliveries of a store not acted on, oldest first."""
    statement = (
        select(
            delivery.c.id,
            delivery.c.type,
            delivery.c.invoice_id,
            delivery.c.pull_payment_id,
            delivery.c.received_at,
        )
        .where(delivery.c.store == label, delivery.c.processed_at.is_(None))
        .order_by(delivery.c.id)
        .limit(limit)
    )
    return [Waiting(*row) for row in await conn.execute(statement)]


async def open_invoices(conn: AsyncConnection, store: str) -> tuple[str, ...]:
    """Ids held as New or Processing, those missing upstream left out."""
    statement = select(invoice.c.id).where(
        invoice.c.store == store,
        invoice.c.status.in_(_OPEN),
        invoice.c.missing_upstream.is_(False),
    )
    return tuple(await conn.scalars(statement.order_by(invoice.c.id)))


async def late_invoices(conn: AsyncConnection, store: str, since: int) -> tuple[str, ...]:
    """Ids that expired after `since`, and those with a payment still Processing."""
    paid = invoice_payment.c
    processing = select(paid.invoice_id).where(paid.store == store, paid.status == "Processing")
    expired = (invoice.c.status == "Expired") & (invoice.c.expires_at >= since)
    statement = select(invoice.c.id).where(
        invoice.c.store == store,
        invoice.c.missing_upstream.is_(False),
        or_(expired, invoice.c.id.in_(processing)),
    )
    return tuple(await conn.scalars(statement.order_by(invoice.c.id)))


async def counting_payments(
    conn: AsyncConnection, store: str, ids: Collection[str]
) -> dict[str, frozenset[PaymentKey]]:
    """(method, payment id) of what these invoices were paid with and is not Invalid."""
    paid = invoice_payment.c
    found: defaultdict[str, set[PaymentKey]] = defaultdict(set)
    statement = select(paid.invoice_id, paid.method, paid.id).where(
        paid.store == store, paid.status != "Invalid"
    )
    for row in await rows_among(conn, statement, paid.invoice_id, ids):
        found[row.invoice_id].add((row.method, row.id))
    return {key: frozenset(payments) for key, payments in found.items()}


async def uncounted_methods(conn: AsyncConnection, store: str) -> frozenset[tuple[str, str]]:
    """(method, currency) of payments and completed payouts that do not count as bitcoin."""
    paid, left = invoice_payment.c, payout.c
    received = select(paid.method, paid.currency).where(
        paid.store == store, paid.value_msats.is_(None), paid.status != "Invalid"
    )
    returned = select(left.method, left.currency).where(
        left.store == store,
        left.value_msats.is_(None),
        left.amount.is_not(None),
        left.state == "Completed",
    )
    rows = await conn.execute(received.union(returned))
    return frozenset((row.method, row.currency) for row in rows)


async def count_invoices(conn: AsyncConnection, store: str) -> int:
    """How many invoices of a store are held."""
    statement = select(func.count()).select_from(invoice).where(invoice.c.store == store)
    return int(await conn.scalar(statement) or 0)


async def refresh_requested_at(conn: AsyncConnection) -> int | None:
    """When somebody last asked for an immediate pull."""
    found = await conn.scalar(select(refresh.c.requested_at))
    return None if found is None else int(found)


async def interrupted_sweep(conn: AsyncConnection, label: str) -> tuple[int, int] | None:
    """(began_at, end) of the full sweep to go on with: it has seen all created from `end` on."""
    cursor = await cursor_of(conn, FULL_SWEEP, label)
    if cursor is None or cursor[1] is None:
        return None
    return cursor[1], cursor[0]


async def swept_at(conn: AsyncConnection, label: str) -> int | None:
    """When the last complete full sweep began; None before the first."""
    cursor = await cursor_of(conn, STORE, label)
    return None if cursor is None else cursor[1]

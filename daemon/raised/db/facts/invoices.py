"""Invoices and their payments, as the newest answers showed them."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, put, rows_among
from raised.db.schema import invoice, invoice_payment
from raised.domain.btcpay.invoice import InvoiceStatus
from raised.domain.btcpay.invoice_snapshot import (
    InvoiceSnapshot,
    PaymentKey,
    PaymentSnapshot,
    StoredInvoice,
)
from raised.domain.campaign import Membership
from raised.domain.ledger import InvoiceKey

_OPEN = ("New", "Processing")


def by_store(keys: Iterable[InvoiceKey]) -> dict[str, list[str]]:
    """The ids of invoices by their stores."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for store, invoice_id in sorted(set(keys)):
        ids[store].append(invoice_id)
    return ids


async def rows_of_invoices(
    conn: AsyncConnection,
    statement: Select[Any],
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    keys: Iterable[InvoiceKey],
) -> list[Row[Any]]:
    """The rows whose (store, invoice id) columns name these invoices."""
    store, invoice_id = columns
    rows: list[Row[Any]] = []
    for label, ids in by_store(keys).items():
        rows += await rows_among(conn, statement.where(store == label), invoice_id, ids)
    return rows


async def stored_invoices(
    conn: AsyncConnection, store: str, ids: Collection[str]
) -> dict[str, StoredInvoice]:
    """Those of these invoices that are stored, with their payments."""
    paid = invoice_payment.c
    payments: defaultdict[str, dict[PaymentKey, PaymentSnapshot]] = defaultdict(dict)
    statement = select(invoice_payment).where(paid.store == store)
    for row in await rows_among(conn, statement, paid.invoice_id, ids):
        payments[row.invoice_id][row.method, row.id] = _payment(row)
    rows = await rows_among(
        conn, select(invoice).where(invoice.c.store == store), invoice.c.id, ids
    )
    return {
        row.id: StoredInvoice(_snapshot(row), row.asked_at, row.seen_at, payments.get(row.id, {}))
        for row in rows
    }


async def add_invoices(
    conn: AsyncConnection, snapshots: Iterable[InvoiceSnapshot], asked_at: int, at: int
) -> None:
    """Add new invoices; what they received is computed afterwards."""
    rows = [
        _columns(snapshot)
        | {
            "store": snapshot.store,
            "id": snapshot.id,
            "asked_at": asked_at,
            "seen_at": at,
            "first_seen_at": at,
            "counted_msats": 0,
            "pending_msats": 0,
        }
        for snapshot in snapshots
    ]
    await add(conn, invoice, rows)


async def put_invoices(conn: AsyncConnection, snapshots: Iterable[InvoiceSnapshot]) -> None:
    """Update stored invoices."""
    rows = [
        _columns(snapshot) | {"key_store": snapshot.store, "key_id": snapshot.id}
        for snapshot in snapshots
    ]
    if not rows:
        return
    fields = invoice.c
    columns = rows[0].keys() - {"key_store", "key_id"}
    named: dict[str, Any] = {name: bindparam(name) for name in columns}
    same = (fields.store == bindparam("key_store")) & (fields.id == bindparam("key_id"))
    await conn.execute(update(invoice).where(same).values(named), rows)


async def mark_seen(
    conn: AsyncConnection, store: str, ids: Iterable[str], asked_at: int, at: int
) -> None:
    """Store when the server showed these: answers to older requests are ignored from now on."""
    statement = (
        update(invoice)
        .where(invoice.c.store == store)
        .values(asked_at=asked_at, seen_at=at, missing_upstream=False)
    )
    await change_among(conn, statement, invoice.c.id, ids)


async def put_payments(
    conn: AsyncConnection, changed: Iterable[tuple[InvoiceKey, PaymentSnapshot]], at: int
) -> None:
    """Store payments that changed at `at`."""
    rows = [
        {
            "store": store,
            "invoice_id": invoice_id,
            "method": payment.method,
            "id": payment.id,
            "currency": payment.currency,
            "value": payment.value,
            "value_msats": payment.value_msats,
            "status": payment.status,
            "received_at": payment.received_at,
            "rate": payment.rate,
            "settled_at": payment.settled_at,
            "first_seen_at": payment.first_seen_at,
            "changed_at": at,
        }
        for (store, invoice_id), payment in changed
    ]
    await put(conn, invoice_payment, rows)


async def mark_missing(
    conn: AsyncConnection, store: str, ids: Collection[str]
) -> dict[str, InvoiceStatus]:
    """Mark invoices that the server does not know any more; those newly marked, with status."""
    statement = select(invoice.c.id, invoice.c.status).where(
        invoice.c.store == store, invoice.c.missing_upstream.is_(False)
    )
    newly_missing = {
        row.id: row.status for row in await rows_among(conn, statement, invoice.c.id, ids)
    }
    missing = update(invoice).where(invoice.c.store == store).values(missing_upstream=True)
    await change_among(conn, missing, invoice.c.id, newly_missing)
    return dict(sorted(newly_missing.items()))


async def unseen_between(
    conn: AsyncConnection, store: str, since: int, began_at: int
) -> tuple[str, ...]:
    """Invoices created in that time that the server has not shown since its end."""
    statement = select(invoice.c.id).where(
        invoice.c.store == store,
        invoice.c.seen_at < began_at,
        invoice.c.created_at >= since,
        invoice.c.created_at <= began_at,
        invoice.c.missing_upstream.is_(False),
    )
    return tuple(await conn.scalars(statement.order_by(invoice.c.id)))


async def campaigns_of(conn: AsyncConnection, keys: Iterable[InvoiceKey]) -> dict[InvoiceKey, str]:
    """The campaign of each of these invoices that is stored."""
    fields = invoice.c
    columns = select(fields.store, fields.id, fields.campaign)
    rows = await rows_of_invoices(conn, columns, (fields.store, fields.id), keys)
    return {(row.store, row.id): row.campaign for row in rows}


def _columns(snapshot: InvoiceSnapshot) -> dict[str, Any]:
    return {
        "status": snapshot.status,
        "additional_status": snapshot.additional_status,
        "type": snapshot.type,
        "currency": snapshot.currency,
        "amount": snapshot.amount,
        "paid_amount": snapshot.paid_amount,
        "created_at": snapshot.created_at,
        "expires_at": snapshot.expires_at,
        "monitored_until": snapshot.monitored_until,
        "settled_at": snapshot.settled_at,
        "settled_at_approximate": snapshot.settled_at_approximate,
        "archived": snapshot.archived,
        "missing_upstream": snapshot.missing_upstream,
        "metadata": json.dumps(dict(snapshot.metadata), sort_keys=True),
        "apps": json.dumps(sorted(snapshot.apps)),
        "campaign": snapshot.membership.campaign,
        "ambiguous": snapshot.membership.ambiguous,
    }


def _snapshot(row: Row[Any]) -> InvoiceSnapshot:
    return InvoiceSnapshot(
        store=row.store,
        id=row.id,
        status=row.status,
        additional_status=row.additional_status,
        type=row.type,
        currency=row.currency,
        amount=row.amount,
        paid_amount=row.paid_amount,
        created_at=row.created_at,
        expires_at=row.expires_at,
        monitored_until=row.monitored_until,
        settled_at=row.settled_at,
        settled_at_approximate=row.settled_at_approximate,
        archived=row.archived,
        missing_upstream=row.missing_upstream,
        metadata=json.loads(row.metadata),
        apps=frozenset(json.loads(row.apps)),
        membership=Membership(row.campaign, row.ambiguous),
    )


def _payment(row: Row[Any]) -> PaymentSnapshot:
    return PaymentSnapshot(
        method=row.method,
        currency=row.currency,
        id=row.id,
        value=row.value,
        value_msats=row.value_msats,
        status=row.status,
        received_at=row.received_at,
        rate=row.rate,
        settled_at=row.settled_at,
        first_seen_at=row.first_seen_at,
    )

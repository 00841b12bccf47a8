"""The items of stores: invoices with payments and refunds, deliveries, how a store does.

As in `items`: rendered here only, in a few statements whatever their number.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.bulk import rows_among
from raised.db.facts.invoices import rows_of_invoices
from raised.db.items.instant import instant
from raised.db.items.items import Item, health_item
from raised.db.stored_settings import read_stored_settings
from raised.domain.campaign import ORDER_ID
from raised.domain.ledger import MSATS_PER_SAT, REVERSAL, InvoiceKey

_Booked = dict[tuple[InvoiceKey, str, str], int]  # invoice, kind and reference: movement


async def invoice_items(
    conn: AsyncConnection, keys: Iterable[InvoiceKey]
) -> dict[InvoiceKey, Item]:
    """Invoice items by store and id, with payments and refunds; unknown ones are left out."""
    wanted = list(dict.fromkeys(keys))
    columns = schema.invoice.c
    rows = await rows_of_invoices(conn, select(schema.invoice), (columns.store, columns.id), wanted)
    booked = await _booked(conn, wanted)
    payments = await _payments(conn, wanted, booked)
    refunds = await _refunds(conn, wanted, booked)
    shown = await _shown_metadata(conn)
    found = {
        (row.store, row.id): _invoice_item(row, shown.get(row.store, ()))
        | {
            "payments": payments.get((row.store, row.id), []),
            "refunds": refunds.get((row.store, row.id), []),
        }
        for row in rows
    }
    return {key: found[key] for key in wanted if key in found}


async def store_items(conn: AsyncConnection, names: Iterable[str] | None = None) -> dict[str, Item]:
    """Store items by label, in the order of labels; all of them without `names`."""
    columns = schema.store
    statement = select(columns).order_by(columns.c.name)
    if names is None:
        rows = list(await conn.execute(statement))
    else:
        rows = await rows_among(conn, statement, columns.c.name, names)
    counts = await _counts(conn) if rows else {}
    return {row.name: _store_item(row, counts) for row in rows}


def _invoice_item(row: Row[Any], shown: Collection[str]) -> Item:
    metadata = msgspec.json.decode(row.metadata, type=dict[str, str])
    return {
        "store": row.store,
        "id": row.id,
        "status": row.status,
        "additional_status": row.additional_status,
        "type": row.type,
        "currency": row.currency,
        "amount": row.amount,
        "paid_amount": row.paid_amount,
        "created_at": instant(row.created_at),
        "expires_at": instant(row.expires_at),
        "settled_at": instant(row.settled_at),
        "settled_at_approximate": row.settled_at_approximate,
        "archived": row.archived,
        "missing_upstream": row.missing_upstream,
        "campaign": row.campaign,
        "order_id": metadata.get(ORDER_ID),
        # What only a campaign's rule reads is kept and not shown.
        "metadata": {key: text for key, text in metadata.items() if key in shown},
        "received_sats": row.counted_msats // MSATS_PER_SAT,
        "pending_sats": row.pending_msats // MSATS_PER_SAT,
    }


async def _shown_metadata(conn: AsyncConnection) -> dict[str, tuple[str, ...]]:
    settings = await read_stored_settings(conn)
    return {store.label: store.metadata_keys for store in settings.stores or ()}


async def _booked(conn: AsyncConnection, keys: Collection[InvoiceKey]) -> _Booked:
    columns = schema.movement.c
    statement = select(
        columns.id, columns.store, columns.invoice_id, columns.kind, columns.reference
    ).where(columns.reversed_by.is_(None), columns.kind != REVERSAL)
    rows = await rows_of_invoices(conn, statement, (columns.store, columns.invoice_id), keys)
    return {((row.store, row.invoice_id), row.kind, row.reference): row.id for row in rows}


async def _payments(
    conn: AsyncConnection, keys: Collection[InvoiceKey], booked: Mapping[Any, int]
) -> dict[InvoiceKey, list[Item]]:
    columns = schema.invoice_payment.c
    ordered = select(schema.invoice_payment).order_by(
        columns.received_at, columns.method, columns.id
    )
    rows = await rows_of_invoices(conn, ordered, (columns.store, columns.invoice_id), keys)
    left = dict(booked)  # a coin that two methods of an invoice show is counted for the first
    found: defaultdict[InvoiceKey, list[Item]] = defaultdict(list)
    for row in rows:
        key = (row.store, row.invoice_id)
        counts = row.status == "Settled" and row.value_msats is not None
        movement_id = left.pop((key, "payment", row.id), None) if counts else None
        found[key].append(_payment_item(row, movement_id))
    return found


def _payment_item(row: Row[Any], movement_id: int | None) -> Item:
    return {
        "method": row.method,
        "currency": row.currency,
        "id": row.id,
        "value": row.value,
        "value_msats": None if row.value_msats is None else str(row.value_msats),
        "status": row.status,
        "received_at": instant(row.received_at),
        "rate": row.rate,
        "counted": movement_id is not None,
        "movement_id": movement_id,
    }


async def _refunds(
    conn: AsyncConnection, keys: Collection[InvoiceKey], booked: Mapping[Any, int]
) -> dict[InvoiceKey, list[Item]]:
    """What left for these invoices, in any coin."""
    columns, pull = schema.payout.c, schema.pull_payment.c
    owned = (pull.store == columns.store) & (pull.id == columns.pull_payment_id)
    statement = (
        select(schema.payout, pull.invoice_id)
        .join(schema.pull_payment, owned)
        .where(columns.state == "Completed")
        .order_by(columns.at, columns.id)
    )
    rows = await rows_of_invoices(conn, statement, (pull.store, pull.invoice_id), keys)
    found: defaultdict[InvoiceKey, list[Item]] = defaultdict(list)
    for row in rows:
        key = (row.store, row.invoice_id)
        found[key].append(_refund_item(row, booked.get((key, "refund", row.id))))
    return found


def _refund_item(row: Row[Any], movement_id: int | None) -> Item:
    return {
        "id": row.id,
        "pull_payment_id": row.pull_payment_id,
        "amount": row.amount,
        "currency": row.currency,
        "value_msats": None if row.value_msats is None else str(row.value_msats),
        "at": instant(row.at),
        "movement_id": movement_id,
    }


_Counts = Mapping[str, dict[str, int]]


async def _counts(conn: AsyncConnection) -> _Counts:
    """What is odd in each store: money that left for nobody we know, invoices that two claim."""
    columns, pull, invoice = schema.payout.c, schema.pull_payment.c, schema.invoice.c
    owned = (pull.store == columns.store) & (pull.id == columns.pull_payment_id)
    unlinked = (
        select(columns.store, func.count().label("number"))
        .select_from(schema.payout.outerjoin(schema.pull_payment, owned))
        .where(columns.state == "Completed", pull.invoice_id.is_(None))
        .group_by(columns.store)
    )
    ambiguous = (
        select(invoice.store, func.count().label("number"))
        .where(invoice.ambiguous.is_(True))
        .group_by(invoice.store)
    )
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for what, statement in (("unlinked_payouts", unlinked), ("ambiguous_invoices", ambiguous)):
        for row in await conn.execute(statement):
            found[row.store][what] = row.number
    return found


def _store_item(row: Row[Any], counts: _Counts) -> Item:
    facts = msgspec.json.decode(row.facts, type=dict[str, Any])
    odd = counts.get(row.name, {})
    return health_item(row) | {
        "version": facts.get("version"),
        "last_pull_at": instant(facts.get("last_pull_at")),
        "webhook": facts.get("webhook"),
        "misses": row.misses,
        "last_miss_at": instant(row.last_miss_at),
        "refunds_visible": facts.get("refunds_visible"),
        "unlinked_payouts": odd.get("unlinked_payouts", 0),
        "ambiguous_invoices": odd.get("ambiguous_invoices", 0),
        "troubles": facts.get("troubles", []),
        "warnings": facts.get("warnings", []),
    }

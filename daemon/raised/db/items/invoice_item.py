"""An invoice as the API shows it, with its payments and refunds."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.facts.invoices import rows_of_invoices
from raised.db.items.instant import Time, instant
from raised.db.stored_settings import read_stored_settings
from raised.domain.campaign import ORDER_ID
from raised.domain.ledger import MSATS_PER_SAT, REVERSAL, InvoiceKey


class Payment(msgspec.Struct, frozen=True):
    method: str
    currency: str
    id: str
    value: str
    value_msats: str | None
    status: str
    received_at: Time | None
    rate: str | None
    counted: bool
    movement_id: int | None


class Refund(msgspec.Struct, frozen=True):
    id: str
    pull_payment_id: str | None
    amount: str | None
    currency: str
    value_msats: str | None
    at: Time | None
    movement_id: int | None


class Invoice(msgspec.Struct, frozen=True):
    store: str
    id: str
    status: str
    additional_status: str
    type: str
    currency: str
    amount: str
    paid_amount: str | None
    created_at: Time | None
    expires_at: Time | None
    settled_at: Time | None
    settled_at_approximate: bool
    archived: bool
    missing_upstream: bool
    campaign: str
    order_id: str | None
    metadata: dict[str, str]
    received_sats: int
    pending_sats: int
    payments: list[Payment]
    refunds: list[Refund]


_MovementIds = dict[tuple[InvoiceKey, str, str], int]  # by invoice, kind and reference


async def invoice_items(
    conn: AsyncConnection, keys: Iterable[InvoiceKey]
) -> dict[InvoiceKey, Invoice]:
    """Invoices by store and id, in the order of `keys`; unknown ones are left out."""
    wanted = list(dict.fromkeys(keys))
    columns = schema.invoice.c
    rows = await rows_of_invoices(conn, select(schema.invoice), (columns.store, columns.id), wanted)
    movement_ids = await _movement_ids(conn, wanted)
    payments = await _payments(conn, wanted, movement_ids)
    refunds = await _refunds(conn, wanted, movement_ids)
    shown_keys = await _shown_metadata_keys(conn)
    invoices: dict[InvoiceKey, Invoice] = {}
    for row in rows:
        key = (row.store, row.id)
        shown = shown_keys.get(row.store, ())
        invoices[key] = _invoice(row, shown, payments.get(key, []), refunds.get(key, []))
    return {key: invoices[key] for key in wanted if key in invoices}


def _invoice(
    row: Row[Any], shown_keys: Collection[str], payments: list[Payment], refunds: list[Refund]
) -> Invoice:
    metadata = msgspec.json.decode(row.metadata, type=dict[str, str])
    return Invoice(
        store=row.store,
        id=row.id,
        status=row.status,
        additional_status=row.additional_status,
        type=row.type,
        currency=row.currency,
        amount=row.amount,
        paid_amount=row.paid_amount,
        created_at=instant(row.created_at),
        expires_at=instant(row.expires_at),
        settled_at=instant(row.settled_at),
        settled_at_approximate=row.settled_at_approximate,
        archived=row.archived,
        missing_upstream=row.missing_upstream,
        campaign=row.campaign,
        order_id=metadata.get(ORDER_ID),
        # Keys that only a campaign's rule reads are stored, but not shown.
        metadata={key: text for key, text in metadata.items() if key in shown_keys},
        received_sats=row.counted_msats // MSATS_PER_SAT,
        pending_sats=row.pending_msats // MSATS_PER_SAT,
        payments=payments,
        refunds=refunds,
    )


async def _shown_metadata_keys(conn: AsyncConnection) -> dict[str, tuple[str, ...]]:
    settings = await read_stored_settings(conn)
    return {store.label: store.metadata_keys for store in settings.stores or ()}


async def _movement_ids(conn: AsyncConnection, keys: Collection[InvoiceKey]) -> _MovementIds:
    """The movements of these invoices that no reversal has undone."""
    columns = schema.movement.c
    statement = select(
        columns.id, columns.store, columns.invoice_id, columns.kind, columns.reference
    ).where(columns.reversed_by.is_(None), columns.kind != REVERSAL)
    rows = await rows_of_invoices(conn, statement, (columns.store, columns.invoice_id), keys)
    return {((row.store, row.invoice_id), row.kind, row.reference): row.id for row in rows}


async def _payments(
    conn: AsyncConnection, keys: Collection[InvoiceKey], movement_ids: _MovementIds
) -> dict[InvoiceKey, list[Payment]]:
    columns = schema.invoice_payment.c
    ordered = select(schema.invoice_payment).order_by(
        columns.received_at, columns.method, columns.id
    )
    rows = await rows_of_invoices(conn, ordered, (columns.store, columns.invoice_id), keys)
    # Each is taken out once used: a coin that two methods of an invoice show is counted only for
    # the first of them.
    remaining = dict(movement_ids)
    payments: defaultdict[InvoiceKey, list[Payment]] = defaultdict(list)
    for row in rows:
        key = (row.store, row.invoice_id)
        counts = row.status == "Settled" and row.value_msats is not None
        movement_id = remaining.pop((key, "payment", row.id), None) if counts else None
        payments[key].append(_payment(row, movement_id))
    return payments


def _payment(row: Row[Any], movement_id: int | None) -> Payment:
    return Payment(
        method=row.method,
        currency=row.currency,
        id=row.id,
        value=row.value,
        value_msats=_msats_text(row.value_msats),
        status=row.status,
        received_at=instant(row.received_at),
        rate=row.rate,
        counted=movement_id is not None,
        movement_id=movement_id,
    )


async def _refunds(
    conn: AsyncConnection, keys: Collection[InvoiceKey], movement_ids: _MovementIds
) -> dict[InvoiceKey, list[Refund]]:
    """The completed payouts of these invoices' pull payments, in any coin."""
    payout, pull = schema.payout.c, schema.pull_payment.c
    owned = (pull.store == payout.store) & (pull.id == payout.pull_payment_id)
    statement = (
        select(schema.payout, pull.invoice_id)
        .join(schema.pull_payment, owned)
        .where(payout.state == "Completed")
        .order_by(payout.at, payout.id)
    )
    rows = await rows_of_invoices(conn, statement, (pull.store, pull.invoice_id), keys)
    refunds: defaultdict[InvoiceKey, list[Refund]] = defaultdict(list)
    for row in rows:
        key = (row.store, row.invoice_id)
        refunds[key].append(_refund(row, movement_ids.get((key, "refund", row.id))))
    return refunds


def _refund(row: Row[Any], movement_id: int | None) -> Refund:
    return Refund(
        id=row.id,
        pull_payment_id=row.pull_payment_id,
        amount=row.amount,
        currency=row.currency,
        value_msats=_msats_text(row.value_msats),
        at=instant(row.at),
        movement_id=movement_id,
    )


def _msats_text(msats: int | None) -> str | None:
    return None if msats is None else str(msats)

"""Pull payments and payouts of stores: which of the money that left was a refund of an invoice."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put, rows_among
from raised.db.schema import invoice, payout, pull_payment
from raised.domain.btcpay.invoice import Payout, PullPayment
from raised.domain.ledger import LedgerRow

# The server's own name for a refund's pull payment. Source: docs/btcpay.md 10.
_REFUND_NAME: Final = "Refund "


class PullKey(NamedTuple):
    """A pull payment of a store."""

    store: str
    id: str


async def put_pull_payments(
    conn: AsyncConnection, store: str, pulls: Collection[PullPayment]
) -> None:
    """Store pull payments with their names; the invoice that is known for one stays."""
    rows = [
        {"store": store, "id": pull.id, "name": pull.name, "invoice_id": None} for pull in pulls
    ]
    await put(conn, pull_payment, rows, keep=("invoice_id",))


async def put_refund_invoices(
    conn: AsyncConnection, store: str, invoices: Mapping[str, str]
) -> None:
    """Store the invoices of pull payments, as signed events state them: they outrank any name."""
    rows = [
        {"store": store, "id": key, "name": None, "invoice_id": invoice_id}
        for key, invoice_id in sorted(invoices.items())
    ]
    await put(conn, pull_payment, rows, keep=("name",))


async def link_refunds_by_name(
    conn: AsyncConnection,
    store: str,
    *,
    pull_ids: Iterable[str] = (),
    invoice_ids: Iterable[str] = (),
) -> None:
    """Link pull payments to the stored invoices that the server named them after: among these pull
    payments, or for these invoices.
    """
    fields = pull_payment.c
    unlinked = select(fields.id, fields.name).where(
        fields.store == store, fields.invoice_id.is_(None), fields.name.is_not(None)
    )
    names = [_REFUND_NAME + invoice_id for invoice_id in invoice_ids]
    rows = await rows_among(conn, unlinked, fields.id, pull_ids)
    rows += await rows_among(conn, unlinked, fields.name, names)
    named = {
        row.id: row.name.removeprefix(_REFUND_NAME)
        for row in rows
        if row.name.startswith(_REFUND_NAME)
    }
    stored = select(invoice.c.id).where(invoice.c.store == store)
    known = {row.id for row in await rows_among(conn, stored, invoice.c.id, named.values())}
    links = [
        {"key_store": store, "key_id": key, "named": invoice_id}
        for key, invoice_id in sorted(named.items())
        if invoice_id in known
    ]
    if links:
        same = (fields.store == bindparam("key_store")) & (fields.id == bindparam("key_id"))
        statement = update(pull_payment).where(same).values(invoice_id=bindparam("named"))
        await conn.execute(statement, links)


async def pulls_of_invoices(
    conn: AsyncConnection, store: str, invoice_ids: Iterable[str]
) -> set[str]:
    """The pull payments of these invoices."""
    fields = pull_payment.c
    statement = select(fields.id).where(fields.store == store)
    return {row.id for row in await rows_among(conn, statement, fields.invoice_id, invoice_ids)}


async def put_payouts(
    conn: AsyncConnection, store: str, payouts: Collection[Payout], at: int
) -> None:
    """Store payouts; `first_seen_at` of known ones stays."""
    rows = [
        {
            "store": store,
            "id": seen.id,
            "pull_payment_id": seen.pull_payment_id,
            "state": seen.state,
            "method": seen.method,
            "currency": seen.currency,
            "amount": seen.amount,
            "value_msats": seen.value_msats,
            "at": seen.at,
            "txid": seen.txid,
            "first_seen_at": at,
        }
        for seen in payouts
    ]
    await put(conn, payout, rows, keep=("first_seen_at",))


async def payouts_of(conn: AsyncConnection, store: str, ids: Iterable[str]) -> dict[str, Payout]:
    """Those of these payouts that are stored."""
    statement = select(payout).where(payout.c.store == store)
    return {row.id: _payout(row) for row in await rows_among(conn, statement, payout.c.id, ids)}


async def payouts_by_pull(conn: AsyncConnection, store: str, pull_ids: Iterable[str]) -> set[str]:
    """The payouts of these pull payments."""
    statement = select(payout.c.id).where(payout.c.store == store)
    rows = await rows_among(conn, statement, payout.c.pull_payment_id, pull_ids)
    return {row.id for row in rows}


async def pull_payments_among(
    conn: AsyncConnection, store: str, ids: Iterable[str]
) -> dict[str, Row[Any]]:
    """Name and invoice of those of these pull payments that are stored."""
    fields = pull_payment.c
    statement = select(fields.id, fields.name, fields.invoice_id).where(fields.store == store)
    return {row.id: row for row in await rows_among(conn, statement, fields.id, ids)}


async def refunds_due(conn: AsyncConnection, ids: Iterable[str]) -> list[LedgerRow]:
    """The rows of those of these payouts that are refunds in bitcoin of stored invoices.

    A payout that two labels show, which name one store by two addresses, has a row for each.
    """
    fields, pull = payout.c, pull_payment.c
    owned = (pull.store == fields.store) & (pull.id == fields.pull_payment_id)
    paid = (invoice.c.store == fields.store) & (invoice.c.id == pull.invoice_id)
    statement = (
        select(payout, pull.invoice_id)
        .select_from(payout.join(pull_payment, owned).join(invoice, paid))
        .where(fields.state == "Completed", fields.value_msats > 0)
        .order_by(fields.id, fields.store)
    )
    return [
        LedgerRow(
            kind="refund",
            amount_msats=row.value_msats,
            at=row.at,
            height=None,
            block_hash=None,
            reference=row.id,
            txid=row.txid,
            store=row.store,
            invoice_id=row.invoice_id,
        )
        for row in await rows_among(conn, statement, fields.id, ids)
    ]


def _payout(row: Row[Any]) -> Payout:
    return Payout(
        id=row.id,
        pull_payment_id=row.pull_payment_id,
        state=row.state,
        method=row.method,
        currency=row.currency,
        amount=row.amount,
        value_msats=row.value_msats,
        at=row.at,
        txid=row.txid,
    )

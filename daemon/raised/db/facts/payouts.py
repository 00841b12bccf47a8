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
    conn: AsyncConnection, store: str, found: Collection[PullPayment]
) -> None:
    """Keep the names of pull payments; whose they are known to be stays."""
    rows = [{"store": store, "id": one.id, "name": one.name, "invoice_id": None} for one in found]
    await put(conn, pull_payment, rows, keep=("invoice_id",))


async def put_refund_invoices(
    conn: AsyncConnection, store: str, invoices: Mapping[str, str]
) -> None:
    """Keep whose these pull payments are: a signed event said so, which outranks any name."""
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
    """Let pull payments be those of the held invoices that the server has named them after: among
    these pull payments, or for these invoices.
    """
    this = pull_payment.c
    open_ones = select(this.id, this.name).where(
        this.store == store, this.invoice_id.is_(None), this.name.is_not(None)
    )
    names = [_REFUND_NAME + one for one in invoice_ids]
    rows = await rows_among(conn, open_ones, this.id, pull_ids)
    rows += await rows_among(conn, open_ones, this.name, names)
    named = {
        row.id: row.name.removeprefix(_REFUND_NAME)
        for row in rows
        if row.name.startswith(_REFUND_NAME)
    }
    held = select(invoice.c.id).where(invoice.c.store == store)
    known = {row.id for row in await rows_among(conn, held, invoice.c.id, named.values())}
    links = [
        {"key_store": store, "key_id": key, "named": invoice_id}
        for key, invoice_id in sorted(named.items())
        if invoice_id in known
    ]
    if links:
        one = (this.store == bindparam("key_store")) & (this.id == bindparam("key_id"))
        statement = update(pull_payment).where(one).values(invoice_id=bindparam("named"))
        await conn.execute(statement, links)


async def pulls_of_invoices(
    conn: AsyncConnection, store: str, invoice_ids: Iterable[str]
) -> set[str]:
    """The pull payments that are these invoices'."""
    this = pull_payment.c
    statement = select(this.id).where(this.store == store)
    return {row.id for row in await rows_among(conn, statement, this.invoice_id, invoice_ids)}


async def put_payouts(
    conn: AsyncConnection, store: str, found: Collection[Payout], at: int
) -> None:
    """Keep payouts as they are now."""
    rows = [
        {
            "store": store,
            "id": one.id,
            "pull_payment_id": one.pull_payment_id,
            "state": one.state,
            "method": one.method,
            "currency": one.currency,
            "amount": one.amount,
            "value_msats": one.value_msats,
            "at": one.at,
            "txid": one.txid,
            "first_seen_at": at,
        }
        for one in found
    ]
    await put(conn, payout, rows, keep=("first_seen_at",))


async def payouts_of(conn: AsyncConnection, store: str, ids: Iterable[str]) -> dict[str, Payout]:
    """Those of these payouts that are held."""
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
    """Name and invoice of those of these pull payments that are held."""
    this = pull_payment.c
    statement = select(this.id, this.name, this.invoice_id).where(this.store == store)
    return {row.id: row for row in await rows_among(conn, statement, this.id, ids)}


async def refunds_due(conn: AsyncConnection, ids: Iterable[str]) -> list[LedgerRow]:
    """The rows of those of these payouts that are refunds in bitcoin of invoices we hold.

    A payout that two labels show, which name one store by two addresses, has a row for each.
    """
    this, pull = payout.c, pull_payment.c
    owned = (pull.store == this.store) & (pull.id == this.pull_payment_id)
    held = (invoice.c.store == this.store) & (invoice.c.id == pull.invoice_id)
    statement = (
        select(payout, pull.invoice_id)
        .select_from(payout.join(pull_payment, owned).join(invoice, held))
        .where(this.state == "Completed", this.value_msats > 0)
        .order_by(this.id, this.store)
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
        for row in await rows_among(conn, statement, this.id, ids)
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

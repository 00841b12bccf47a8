"""Who claims which coin, what the chain makes of it, and what invoices received by that."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import rows_among
from raised.db.facts.invoices import rows_of_invoices
from raised.db.schema import investment, invoice, invoice_payment, stage_output
from raised.domain.btcpay.coin_claims import Claim, InvoiceReceipts, StageOutputStatus
from raised.domain.btcpay.invoice import CHAIN_METHOD
from raised.domain.ledger import InvoiceKey

_COUNTED = ("unconfirmed", "confirmed")
_TXID_DIGITS = 64


async def claims_on(conn: AsyncConnection, references: Iterable[str]) -> list[Claim]:
    """Every payment in bitcoin that names one of these coins."""
    paid = invoice_payment.c
    statement = select(invoice_payment).where(paid.value_msats.is_not(None))
    return [
        Claim(
            store=row.store,
            invoice_id=row.invoice_id,
            method=row.method,
            reference=row.id,
            amount_msats=row.value_msats,
            status=row.status,
            received_at=row.received_at,
            txid=row.id.partition(":")[0] if row.method == CHAIN_METHOD else None,
        )
        for row in await rows_among(conn, statement, paid.id, references)
    ]


async def coins_of_invoices(conn: AsyncConnection, keys: Iterable[InvoiceKey]) -> set[str]:
    """The coins that these invoices claim."""
    paid = invoice_payment.c
    statement = select(paid.id).where(paid.value_msats.is_not(None))
    rows = await rows_of_invoices(conn, statement, (paid.store, paid.invoice_id), keys)
    return {row.id for row in rows}


async def claimed_coins(conn: AsyncConnection, references: Iterable[str]) -> set[str]:
    """Those of these coins that an invoice claims."""
    statement = select(invoice_payment.c.id).distinct()
    return {row.id for row in await rows_among(conn, statement, invoice_payment.c.id, references)}


async def stage_outputs_among(
    conn: AsyncConnection, references: Iterable[str]
) -> dict[str, StageOutputStatus]:
    """Those of these coins that are stage outputs of investments that count, or may count yet."""
    wanted = {
        reference for reference in references if reference[_TXID_DIGITS : _TXID_DIGITS + 1] == ":"
    }
    output = stage_output.c
    statement = (
        select(output.txid, output.vout, investment.c.status)
        .join(investment, investment.c.txid == output.txid)
        .where(investment.c.status.in_(_COUNTED))
    )
    rows = await rows_among(
        conn, statement, output.txid, {reference[:_TXID_DIGITS] for reference in wanted}
    )
    statuses = {f"{row.txid}:{row.vout}": cast("StageOutputStatus", row.status) for row in rows}
    return {key: status for key, status in statuses.items() if key in wanted}


async def receipts_of(
    conn: AsyncConnection, keys: Iterable[InvoiceKey]
) -> dict[InvoiceKey, InvoiceReceipts]:
    """What these invoices are stored to have received."""
    fields = invoice.c
    columns = select(
        fields.store, fields.id, fields.counted_msats, fields.pending_msats, fields.first_counted_at
    )
    rows = await rows_of_invoices(conn, columns, (fields.store, fields.id), keys)
    return {
        (row.store, row.id): InvoiceReceipts(
            row.counted_msats, row.pending_msats, row.first_counted_at
        )
        for row in rows
    }


async def put_receipts(
    conn: AsyncConnection, receipts: Mapping[InvoiceKey, InvoiceReceipts]
) -> None:
    """Store what these invoices have received."""
    rows = [
        {
            "key_store": store,
            "key_id": invoice_id,
            "counted": receipt.counted_msats,
            "pending": receipt.pending_msats,
            "first": receipt.first_counted_at,
        }
        for (store, invoice_id), receipt in sorted(receipts.items())
    ]
    if not rows:
        return
    fields = invoice.c
    same = (fields.store == bindparam("key_store")) & (fields.id == bindparam("key_id"))
    values: dict[str, Any] = {
        "counted_msats": bindparam("counted"),
        "pending_msats": bindparam("pending"),
        "first_counted_at": bindparam("first"),
    }
    await conn.execute(update(invoice).where(same).values(values), rows)

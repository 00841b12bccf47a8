"""Reads of the record that several of these tests make."""

from typing import Any

import msgspec
from tests.record.conftest import Invested, Ledger

from raised.db import schema
from raised.db.audit.check import differences
from raised.db.engine import reading
from raised.db.items.invoice_item import invoice_items


async def assert_consistent(ledger: Ledger) -> None:
    """Every sum of the record equals its movements."""
    async with reading(ledger.engine) as conn:
        assert await differences(conn) == []


async def item(ledger: Ledger, invoice_id: str, store: str = "shop") -> Any:
    """The invoice as the API shows it."""
    async with reading(ledger.engine) as conn:
        items = await invoice_items(conn, [(store, invoice_id)])
    return msgspec.to_builtins(items[store, invoice_id])


async def row(ledger: Ledger, invoice_id: str, store: str = "shop") -> Any:
    rows = await ledger.rows(schema.invoice)
    return next(row for row in rows if (row["store"], row["id"]) == (store, invoice_id))


async def counted(ledger: Ledger) -> dict[str, int]:
    """What each invoice's payments add to the ledger."""
    sums: dict[str, int] = {}
    for row in await ledger.rows(schema.movement):
        if row["kind"] == "payment" and row["reversed_by"] is None:
            key = f"{row['store']}/{row['invoice_id']}"
            sums[key] = sums.get(key, 0) + row["amount_msats"]
    return sums


async def investment(ledger: Ledger, invested: Invested) -> Any:
    rows = await ledger.rows(schema.investment)
    return next(row for row in rows if row["txid"] == invested.tx.txid)


async def booked(ledger: Ledger) -> Any:
    """(kind, amount, whether undone) in the order of booking."""
    rows = sorted(await ledger.rows(schema.movement), key=lambda row: row["id"])
    return [(row["kind"], row["amount_msats"] // 1000, bool(row["reversed_by"])) for row in rows]


async def kinds(ledger: Ledger, prefix: str) -> Any:
    return [row["type"] for row in await ledger.changes() if row["type"].startswith(prefix)]

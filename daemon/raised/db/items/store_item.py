"""A BTCPay store as the API shows it: its health, and what in it needs a person's look."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.items.instant import Time, instant
from raised.db.items.source_item import Source, source_facts, source_fields, source_rows


class Store(Source, frozen=True):
    version: str | None
    last_pull_at: Time | None
    webhook: str | None
    misses: int
    last_miss_at: Time | None
    refunds_visible: bool | None
    unlinked_payouts: int
    ambiguous_invoices: int
    troubles: list[str]
    warnings: list[str]


_Counts = Mapping[str, int]  # by store


async def store_items(
    conn: AsyncConnection, names: Iterable[str] | None = None
) -> dict[str, Store]:
    """Stores by label, in the order of labels; all of them without `names`."""
    rows = await source_rows(conn, schema.store, names)
    if not rows:
        return {}
    unlinked = await _count(conn, _unlinked_payouts())
    ambiguous = await _count(conn, _ambiguous_invoices())
    return {row.name: _store(row, unlinked, ambiguous) for row in rows}


async def _count(conn: AsyncConnection, statement: Select[str, int]) -> _Counts:
    return {row[0]: row[1] for row in await conn.execute(statement)}


def _unlinked_payouts() -> Select[str, int]:
    """Completed payouts that refund no invoice we know, by store."""
    payout, pull = schema.payout.c, schema.pull_payment.c
    owned = (pull.store == payout.store) & (pull.id == payout.pull_payment_id)
    return (
        select(payout.store, func.count())
        .select_from(schema.payout.outerjoin(schema.pull_payment, owned))
        .where(payout.state == "Completed", pull.invoice_id.is_(None))
        .group_by(payout.store)
    )


def _ambiguous_invoices() -> Select[str, int]:
    """Invoices that match the rules of two campaigns, by store."""
    invoice = schema.invoice.c
    return (
        select(invoice.store, func.count())
        .where(invoice.ambiguous.is_(True))
        .group_by(invoice.store)
    )


def _store(row: Row[Any], unlinked: _Counts, ambiguous: _Counts) -> Store:
    facts = source_facts(row)
    return Store(
        **source_fields(row),
        version=facts.get("version"),
        last_pull_at=instant(facts.get("last_pull_at")),
        webhook=facts.get("webhook"),
        misses=row.misses,
        last_miss_at=instant(row.last_miss_at),
        refunds_visible=facts.get("refunds_visible"),
        unlinked_payouts=unlinked.get(row.name, 0),
        ambiguous_invoices=ambiguous.get(row.name, 0),
        troubles=facts.get("troubles", []),
        warnings=facts.get("warnings", []),
    )

"""Which invoices a list shows: newest first, by when they were created."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, cut
from raised.db.schema import invoice
from raised.domain.ledger import InvoiceKey

INVOICE_STATUSES: Final = ("New", "Processing", "Settled", "Expired", "Invalid")
OTHER: Final = "Other"  # words we do not know


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """`since` and `until` are about the creation; empty or None: not asked for."""

    statuses: tuple[str, ...] = ()
    store: str | None = None
    campaign: str | None = None
    since: int | None = None
    until: int | None = None


async def list_invoices(
    conn: AsyncConnection, wanted: InvoiceFilter, after: Place | None, limit: int
) -> Page[str]:
    """A page of invoices, each as `id/store`: `key_of` takes that apart."""
    at, number, store = invoice.c.created_at, invoice.c.id, invoice.c.store
    statement = (
        select(at, number, store)
        .where(*_conditions(wanted))
        .order_by(at.desc(), number.desc(), store.desc())
        .limit(limit + 1)
    )
    if after is not None:
        statement = statement.where(at <= after[0], _beyond(after))  # the index begins with it
    rows = await conn.execute(statement)
    return cut([(int(row.created_at), f"{row.id}/{row.store}") for row in rows], limit)


def key_of(key: str) -> InvoiceKey:
    """Store and id of an invoice in a page."""
    number, _, store = key.rpartition("/")
    return store, number


def _beyond(after: Place) -> ColumnElement[bool]:
    at, number, label = invoice.c.created_at, invoice.c.id, invoice.c.store
    store, last = key_of(str(after[1]))
    return or_(
        at < after[0],
        and_(at == after[0], or_(number < last, and_(number == last, label < store))),
    )


def _conditions(wanted: InvoiceFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(_among(wanted.statuses))
    if wanted.store is not None:
        conditions.append(invoice.c.store == wanted.store)
    if wanted.campaign is not None:
        conditions.append(invoice.c.campaign == wanted.campaign)
    if wanted.since is not None:
        conditions.append(invoice.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(invoice.c.created_at < wanted.until)
    return conditions


def _among(statuses: tuple[str, ...]) -> ColumnElement[bool]:
    named = invoice.c.status.in_(statuses)
    if OTHER in statuses:
        return or_(named, invoice.c.status.not_in(INVOICE_STATUSES))
    return named

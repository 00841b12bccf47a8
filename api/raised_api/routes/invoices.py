"""Invoices of all stores, and one of them: for keys with the scope `invoices:read`."""

import re
from typing import Final

from litestar.di import NamedDependency
from msgspec.structs import asdict

from raised.db.items.invoice_item import Invoice, invoice_items
from raised.db.queries.invoice_list import (
    INVOICE_STATUSES,
    OTHER,
    InvoiceFilter,
    key_of,
    list_invoices,
)
from raised.errors import NotInRecord
from raised_api.http.auth import INVOICES as SCOPE
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf, Page
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    SINCE,
    STORE,
    UNTIL,
    choices,
    read_cursor,
    to_seconds,
    write_cursor,
)
from raised_api.http.request_context import RequestContext
from raised_api.totals.totals import CAMPAIGN, requested_campaign

_LIST: Final = "invoices"
_ID: Final = re.compile(r"[!-~]{1,128}")
_STATUSES: Final = {status.lower(): status for status in (*INVOICE_STATUSES, OTHER)}


class InvoiceDetail(Invoice, frozen=True):
    as_of: AsOf


class InvoicePage(Page[Invoice], frozen=True):
    pass


# Archiving and what is shown of metadata move without a change, so these are never cached.
@read(
    "/invoices",
    name="invoices",
    summary="Invoices, newest first by when they were created.",
    parameters=(
        STORE,
        choices("status", (*_STATUSES, *_STATUSES.values()), "Only in these."),
        CAMPAIGN,
        SINCE,
        UNTIL,
        LIMIT,
        CURSOR,
    ),
    is_cached=False,
    scope=SCOPE,
)
async def invoices(context: NamedDependency[RequestContext]) -> InvoicePage:
    """A page of invoices."""
    query, group = context.query, await requested_campaign(context)
    page = await list_invoices(
        context.conn,
        InvoiceFilter(
            statuses=tuple(_STATUSES[status.lower()] for status in query["status"]),
            store=query["store"],
            campaign=None if group is None else group.slug,
            since=to_seconds(query["since"]),
            until=to_seconds(query["until"]),
        ),
        read_cursor(_LIST, query["cursor"], str),
        query["limit"],
    )
    items = await invoice_items(context.conn, [key_of(key) for key in page.keys])
    return InvoicePage(
        items=list(items.values()),
        next_cursor=write_cursor(_LIST, page.next),
        as_of=context.as_of_block(),
    )


@read(
    "/invoices/{store:str}/{id:str}",
    name="invoice",
    summary="One invoice with its payments and refunds.",
    is_cached=False,
    scope=SCOPE,
)
async def invoice(context: NamedDependency[RequestContext]) -> InvoiceDetail:
    """One invoice with its payments and refunds."""
    key = context.path["store"], context.path["id"]
    items = await invoice_items(context.conn, [key]) if all(map(_ID.fullmatch, key)) else {}
    if key not in items:
        raise NotInRecord("The record has no such invoice")
    return InvoiceDetail(**asdict(items[key]), as_of=context.as_of_block())


INVOICES = (
    invoices,
    invoice,
)

"""Invoices of all stores, and one of them: for keys with the scope `invoices:read`."""

import re
from typing import Final

from litestar.di import NamedDependency

from raised.db.items.invoice_items import invoice_items
from raised.db.items.items import Item
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
from raised_api.openapi import store_schemas
from raised_api.totals.totals import CAMPAIGN, requested_campaign

_LIST: Final = "invoices"
_ID: Final = re.compile(r"[!-~]{1,128}")
_STATUSES: Final = {status.lower(): status for status in (*INVOICE_STATUSES, OTHER)}


# Archiving and what is shown of metadata move without a change, so these are never cached.
@read(
    "/invoices",
    name="invoices",
    summary="Invoices, newest first by when they were created.",
    schema=store_schemas.InvoicePage,
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
async def invoices(context: NamedDependency[RequestContext]) -> dict[str, object]:
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
    return {
        "items": list(items.values()),
        "next_cursor": write_cursor(_LIST, page.next),
        "as_of": context.as_of_block(),
    }


@read(
    "/invoices/{store:str}/{id:str}",
    name="invoice",
    summary="One invoice with its payments and refunds.",
    schema=store_schemas.InvoiceDetail,
    is_cached=False,
    scope=SCOPE,
)
async def invoice(context: NamedDependency[RequestContext]) -> Item:
    """One invoice with its payments and refunds."""
    key = context.path["store"], context.path["id"]
    items = await invoice_items(context.conn, [key]) if all(map(_ID.fullmatch, key)) else {}
    if key not in items:
        raise NotInRecord("The record has no such invoice")
    return items[key] | {"as_of": context.as_of_block()}


INVOICES = (
    invoices,
    invoice,
)

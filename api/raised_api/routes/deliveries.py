"""The log of webhook deliveries: for keys with the scope `invoices:read`. Never a body."""

from typing import Final

import msgspec
from litestar.di import NamedDependency

from raised.db.items.delivery_item import Delivery, delivery_items
from raised.db.queries.delivery_list import DeliveryFilter, list_deliveries
from raised_api.http.auth import INVOICES as SCOPE
from raised_api.http.endpoint import read
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    SINCE,
    STORE,
    UNTIL,
    read_cursor,
    text_matching,
    texts_matching,
    to_seconds,
    write_cursor,
)
from raised_api.http.request_context import RequestContext

_LIST: Final = "deliveries"


class DeliveryPage(msgspec.Struct, frozen=True):
    items: list[Delivery]
    next_cursor: str | None


# Deliveries come without a change, so these are never cached.
@read(
    "/deliveries",
    name="deliveries",
    summary="What stores' servers have told, newest first by when it came.",
    parameters=(
        STORE,
        texts_matching("type", "[A-Za-z]{1,100}", "Only events of these types."),
        text_matching("invoice", "[0-9A-Za-z_-]{1,128}", "Only about this invoice."),
        SINCE,
        UNTIL,
        LIMIT,
        CURSOR,
    ),
    is_cached=False,
    scope=SCOPE,
)
async def deliveries(context: NamedDependency[RequestContext]) -> DeliveryPage:
    """A page of deliveries."""
    query = context.query
    page = await list_deliveries(
        context.conn,
        DeliveryFilter(
            types=query["type"],
            store=query["store"],
            invoice_id=query["invoice"],
            since=to_seconds(query["since"]),
            until=to_seconds(query["until"]),
        ),
        read_cursor(_LIST, query["cursor"], int),
        query["limit"],
    )
    items = await delivery_items(context.conn, page.keys)
    return DeliveryPage(list(items.values()), write_cursor(_LIST, page.next))


DELIVERIES = (deliveries,)

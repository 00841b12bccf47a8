"""The log of webhook deliveries: for keys with the scope `invoices:read`. Never a body."""

from typing import Final

from raised.db.items.invoice_items import delivery_items
from raised.db.queries.delivery_list import DeliveryFilter, list_deliveries
from raised_api.http.auth import INVOICES as SCOPE
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    SINCE,
    STORE,
    UNTIL,
    read_cursor,
    seconds_of,
    word,
    words,
    write_cursor,
)
from raised_api.http.route import BASE, Asked, Route
from raised_api.openapi import store_schemas

_LIST: Final = "deliveries"


async def deliveries(asked: Asked) -> dict[str, object]:
    """A page of deliveries."""
    query = asked.query
    page = await list_deliveries(
        asked.conn,
        DeliveryFilter(
            types=query["type"],
            store=query["store"],
            invoice_id=query["invoice"],
            since=seconds_of(query["since"]),
            until=seconds_of(query["until"]),
        ),
        read_cursor(_LIST, query["cursor"], int),
        query["limit"],
    )
    items = await delivery_items(asked.conn, page.keys)
    return {"items": list(items.values()), "next_cursor": write_cursor(_LIST, page.next)}


# Deliveries come without a change, so these are never kept.
DELIVERIES = Route(
    path=f"{BASE}/deliveries",
    name="deliveries",
    about="What stores' servers have told, newest first by when it came.",
    answer=deliveries,
    shape=store_schemas.DeliveryPage,
    parameters=(
        STORE,
        words("type", "[A-Za-z]{1,100}", "Only events of these types."),
        word("invoice", "[0-9A-Za-z_-]{1,128}", "Only about this invoice."),
        SINCE,
        UNTIL,
        LIMIT,
        CURSOR,
    ),
    kept=False,
    scope=SCOPE,
)

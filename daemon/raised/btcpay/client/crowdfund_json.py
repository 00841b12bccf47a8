"""Which invoices BTCPay's own Crowdfund app made: only a search knows (btcpay.md 3.5)."""

import re
from typing import Final

from raised.btcpay.client.json_fields import identifier
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput

_APP: Final = re.compile(r"/apps/([^/?#]+)")


def search_term(app_id: str) -> str:
    """What finds an app's invoices, and those of every app whose id begins with this one's."""
    return f"crowdfund-app_{app_id}"


def app_invoice_id(app_id: str, row: JsonObject) -> str | None:
    """The id of an invoice that the search found; None when an app with a longer id made it.

    The order's page names the app, unless that has a domain of its own or takes all the store's
    invoices: then the search is right. Raises InvalidInput: no id.
    """
    names = _APP.findall(_order_page(row))
    another = any(name.startswith(app_id) for name in names) and app_id not in names
    return None if another else identifier(row, "id")


def _order_page(row: JsonObject) -> str:
    try:
        metadata = row.inner("metadata")
        return "" if metadata is None else metadata.text("orderUrl")
    except InvalidInput:
        return ""

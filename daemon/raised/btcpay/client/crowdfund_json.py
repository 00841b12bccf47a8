"""The search for invoices of BTCPay's own Crowdfund app. Source: docs/btcpay.md 3.5."""

import re
from typing import Final

from raised.btcpay.client.json_fields import identifier
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput

_APP: Final = re.compile(r"/apps/([^/?#]+)")


def search_term(app_id: str) -> str:
    """Finds an app's invoices, and those of every app whose id begins with this id."""
    return f"crowdfund-app_{app_id}"


def app_invoice_id(app_id: str, row: JsonObject) -> str | None:
    """The id of an invoice of the search's result; None when an app with a longer id made it.

    `orderUrl` may name the app; where the app has a domain of its own it does not, and the search
    alone decides. Raises InvalidInput: no id.
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

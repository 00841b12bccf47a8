"""Which invoices BTCPay's own Crowdfund app made: only a search knows (btcpay.md 3.5)."""

import re
from typing import Final

from raised.btcpay.reading import identifier
from raised.domain.json_object import JsonObject

_BETWEEN: Final = re.compile(r"[/?&=#]")


def search_term(app_id: str) -> str:
    """What finds an app's invoices, and those of every app whose id begins with this one's."""
    return f"crowdfund-app_{app_id}"


def id_if_of_app(app_id: str, row: JsonObject) -> str | None:
    """The id of a found invoice whose order page is this app's; None of another app's.

    Raises InvalidInput.
    """
    metadata = row.inner("metadata")
    page = "" if metadata is None else metadata.text("orderUrl")
    return identifier(row, "id") if app_id in _BETWEEN.split(page) else None

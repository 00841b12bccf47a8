"""What rows of BTCPay show to those who may not see invoices.

Totals are for everybody; a row with its time, coin and amount would lead to who has paid.
"""

from typing import Any, Final

import msgspec

from raised.db.items.items import Item
from raised.db.queries.feed import Change

# Types that begin so are not shown at all; their numbers stay unused.
HIDDEN: Final = ("invoice.", "payment.", "refund.")

_WITHHELD: Final = ("recorded_at", "height", "block_hash", "party", "reference", "txid")


def public_movement(item: Item) -> Item:
    """The movement as everybody may see it."""
    if item["source"] != "btcpay":
        return item
    return item | dict.fromkeys(_WITHHELD) | {"at": _hour(item["at"])}


def public_change(change: Change) -> Change | None:
    """The change as everybody may see it; None: not at all."""
    if change.type.startswith(HIDDEN):
        return None
    if change.type != "movement" or change.item["source"] != "btcpay":
        return change
    data: Any = change.item["data"]
    movement = msgspec.json.decode(data, type=dict[str, Any])
    shown = {
        "at": _hour(change.item["at"]),
        "reference": None,
        "data": public_movement(movement),
    }
    return Change(change.seq, change.type, change.item | shown)


def _hour(at: object) -> str | None:
    """An RFC 3339 time cut to its hour."""
    return f"{at[:13]}:00:00Z" if isinstance(at, str) else None

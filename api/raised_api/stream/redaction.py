"""What rows of BTCPay show to those who may not see invoices.

Totals are for everybody; a row with its time, coin and amount would lead to who has paid.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from raised.db.items.change_item import Change
from raised.db.items.movement_item import Movement

# Types that begin so are not shown at all; their numbers stay unused.
HIDDEN: Final = ("invoice.", "payment.", "refund.")

_WITHHELD: Final = ("recorded_at", "height", "block_hash", "party", "reference", "txid")


def public_movement(movement: Movement) -> Movement:
    """The movement as everybody may see it."""
    if movement.source != "btcpay":
        return movement
    return replace(movement, **_redacted(movement.at))


def public_change(change: Change) -> Change | None:
    """The change as everybody may see it; None: not at all."""
    if change.type.startswith(HIDDEN):
        return None
    if change.type != "movement" or change.source != "btcpay":
        return change
    # Not as a `Movement`: the feed keeps each item as it was when it was written, which may have
    # been before some key of today's was there.
    movement = msgspec.json.decode(change.data, type=dict[str, Any])
    data = msgspec.json.encode(movement | _redacted(movement.get("at")))
    return replace(change, at=_hour(change.at), reference=None, data=msgspec.Raw(data))


def _redacted(at: object) -> dict[str, str | None]:
    """What a row of BTCPay that happened at that time shows instead of what leads to the payer."""
    return {**dict.fromkeys(_WITHHELD), "at": _hour(at)}


def _hour(at: object) -> str | None:
    """An RFC 3339 time cut to its hour."""
    return f"{at[:13]}:00:00Z" if isinstance(at, str) else None

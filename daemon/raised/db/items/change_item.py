"""A change of the feed as the API shows it. Its data is the item as it was at that time."""

from typing import Any

import msgspec
from sqlalchemy import Row

from raised.db.items.explorer_item import Explorer
from raised.db.items.instant import Time, instant
from raised.db.items.investment_item import Investment
from raised.db.items.invoice_item import Invoice
from raised.db.items.movement_item import Movement
from raised.db.items.project_item import Project
from raised.db.items.relay_item import Relay
from raised.db.items.store_item import Store
from raised.domain.observation import State


class Block(msgspec.Struct, frozen=True):
    height: int
    hash: str


class Reorg(msgspec.Struct, frozen=True, rename={"lost": "from", "ancestor": "to"}):
    lost: Block
    ancestor: Block
    depth: int


class Regrouping(msgspec.Struct, frozen=True):
    """Campaigns were configured anew: their slugs, and how many invoices moved between them."""

    campaigns: list[str]
    invoices: int


class Completeness(msgspec.Struct, frozen=True):
    """Whether all that is to be read was read once, as `as_of` shows it from then on."""

    complete: bool


class GroupState(msgspec.Struct, frozen=True):
    """How all sources of a kind do together."""

    name: str
    state: State


# What the data of a change may be; that of a change of the tip is the new tip.
Item = (
    Project
    | Investment
    | Movement
    | Invoice
    | Relay
    | Explorer
    | Store
    | GroupState
    | Completeness
    | Block
    | Reorg
    | Regrouping
)


class Change(msgspec.Struct, frozen=True):
    seq: int
    type: str
    at: Time | None
    source: str
    campaign: str | None
    project_id: str | None
    reference: str | None
    data: msgspec.Raw


def change_item(row: Row[Any]) -> Change:
    """The change of a row. Its data is handed on as it was stored, maybe by an earlier version."""
    return Change(
        seq=row.seq,
        type=row.type,
        at=instant(row.at),
        source=row.source,
        campaign=row.campaign,
        project_id=row.project_id,
        reference=row.reference,
        data=msgspec.Raw(row.data.encode()),
    )


def reorg_item(lost: Block, ancestor: Block) -> Reorg:
    """What a `reorg` change shows: from the lost tip to the common ancestor."""
    return Reorg(lost, ancestor, lost.height - ancestor.height)

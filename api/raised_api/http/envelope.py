"""What answers have in common: pages of a list, and the state of the record that they stand on."""

from typing import Generic, TypeVar

import msgspec

from raised.db.items.instant import Time
from raised.db.queries.as_of import SourceState

Item = TypeVar("Item")


class Sources(msgspec.Struct, frozen=True):
    relays: SourceState
    chain: SourceState
    btcpay: SourceState


class AsOf(msgspec.Struct, frozen=True):
    """What the answer stands on.

    `complete` is false until every source was read once, with all that follows from what it gave:
    until then totals are too low.
    """

    at: Time
    height: int | None
    hash: str | None
    seq: int
    stale: bool
    complete: bool
    sources: Sources


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some items of a list about money. `next_cursor` asks for the next ones; None: the last."""

    items: list[Item]
    next_cursor: str | None
    as_of: AsOf


class WholeList(msgspec.Struct, Generic[Item], frozen=True):
    """A list that is always given whole: there is no next page."""

    items: list[Item]
    next_cursor: None

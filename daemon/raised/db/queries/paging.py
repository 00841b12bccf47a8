"""A page of a list, and the place where the next one goes on.

A place is the sort key of the last row that was shown, so rows that come in do not move it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, and_, or_

Key = TypeVar("Key")

# Sort value and id of the last row.
Place = tuple[int, str | int]


@dataclass(frozen=True, slots=True)
class Page(Generic[Key]):
    """Keys of the rows shown, and the place of the last when there are more."""

    keys: list[Key]
    next: Place | None


def cut(rows: Sequence[tuple[int, Key]], limit: int) -> Page[Key]:
    """The page of (sort value, key) rows, of which one more than `limit` was asked for."""
    shown = [key for _, key in rows[:limit]]
    if len(rows) <= limit:
        return Page(shown, None)
    value, key = rows[limit - 1]
    assert isinstance(key, str | int), "lists are keyed by ids"
    return Page(shown, (value, key))


def beyond(
    value: ColumnElement[int], key: ColumnElement[Key], place: Place, *, descending: bool
) -> ColumnElement[bool]:
    """The rows after a place, in this order of (value, key)."""
    at, last = place
    if descending:
        return or_(value < at, and_(value == at, key < last))
    return or_(value > at, and_(value == at, key > last))

"""The middle of many amounts that stand in several tables, found by their indexes.

Sorting them together would take as long as all the rest of a summary. Instead the span that holds
the middle is narrowed, each time by the middle of the longest list within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

_FEW: Final = 2000  # so many are read and sorted
_BEYOND: Final = 1 << 62  # more than any amount


@dataclass(frozen=True, slots=True)
class Amounts:
    """A column of amounts of `least` or more, each worth `unit`; `of` selects whose."""

    of: Select[Any]
    column: ColumnElement[int]
    unit: int = 1
    least: int = 0

    def between(self, low: int, high: int) -> Select[Any]:
        """Those worth more than `low` and less than `high`."""
        # One bound at each end: of two at the same end SQLite may begin at the wrong one.
        above = self.column > max(low // self.unit, self.least - 1)
        below = self.column < -(-high // self.unit)
        return self.of.with_only_columns(self.column).where(above, below)

    def number(self, low: int, high: int) -> ScalarSelect[int]:
        """How many these are."""
        return self.between(low, high).with_only_columns(func.count()).scalar_subquery()


@dataclass(frozen=True, slots=True)
class _Span:
    """Amounts more than `low` and less than `high`: how many each list has, and all below them."""

    low: int
    high: int
    numbers: tuple[int, ...]
    below: int = 0

    @property
    def total(self) -> int:
        return sum(self.numbers)


async def middle_of(conn: AsyncConnection, lists: Sequence[Amounts]) -> list[int]:
    """The amount in the middle of all, the two of an even number; none of nothing."""
    span = _Span(-1, _BEYOND, await _numbers(conn, lists, (-1, _BEYOND)))
    first, wanted = (span.total - 1) // 2, 2 - span.total % 2
    if span.total == 0:
        return []
    while span.total > _FEW:
        longest = max(range(len(lists)), key=span.numbers.__getitem__)
        pivot = await _pivot(conn, lists[longest], span, span.numbers[longest] // 2)
        equal = await _numbers(conn, lists, (pivot - 1, pivot + 1))
        less = await _less(conn, lists, span, pivot, longest if equal[longest] == 1 else None)
        before = span.below + sum(less)
        if first < before:
            span = replace(span, high=pivot, numbers=less)
        elif first < before + sum(equal):
            found = [pivot] * min(wanted, before + sum(equal) - first)
            return await _and_next(conn, lists, found, wanted, pivot)
        else:
            rest = zip(span.numbers, less, equal, strict=True)
            numbers = tuple(whole - below - same for whole, below, same in rest)
            span = replace(span, low=pivot, numbers=numbers, below=before + sum(equal))
    return await _read(conn, lists, span, first, wanted)


async def _numbers(
    conn: AsyncConnection, lists: Sequence[Amounts], ends: tuple[int, int]
) -> tuple[int, ...]:
    """How many of each list lie between these ends."""
    if not lists:
        return ()
    found = (await conn.execute(select(*(list_.number(*ends) for list_ in lists)))).one()
    return tuple(int(number) for number in found)


async def _pivot(conn: AsyncConnection, longest: Amounts, span: _Span, place: int) -> int:
    """The amount at this place of what a list has in the span."""
    ordered = longest.between(span.low, span.high).order_by(longest.column)
    found = await conn.scalar(ordered.offset(place).limit(1))
    assert found is not None, "all was counted in this transaction"
    return int(found) * longest.unit


async def _less(
    conn: AsyncConnection, lists: Sequence[Amounts], span: _Span, pivot: int, known: int | None
) -> tuple[int, ...]:
    """How many of each list are in the span below the pivot; in that of which it is the only such
    amount, that is its place.
    """
    others = [amounts for place, amounts in enumerate(lists) if place != known]
    found = list(await _numbers(conn, others, (span.low, pivot)))
    if known is not None:
        found.insert(known, span.numbers[known] // 2)
    return tuple(found)


async def _read(
    conn: AsyncConnection, lists: Sequence[Amounts], span: _Span, first: int, wanted: int
) -> list[int]:
    """The few in the span are sorted."""
    few: list[int] = []
    for list_ in lists:
        rows = await conn.scalars(list_.between(span.low, span.high))
        few += [int(amount) * list_.unit for amount in rows]
    few.sort()
    place = first - span.below
    return await _and_next(conn, lists, few[place : place + wanted], wanted, span.high - 1)


async def _and_next(
    conn: AsyncConnection, lists: Sequence[Amounts], found: list[int], wanted: int, after: int
) -> list[int]:
    """What was found, with the next amount above `after` where one is missing."""
    if len(found) == wanted:
        return found
    following: list[int] = []
    for list_ in lists:
        least = list_.between(after, _BEYOND).with_only_columns(func.min(list_.column))
        amount = await conn.scalar(least)
        following += [] if amount is None else [int(amount) * list_.unit]
    return [*found, min(following)]

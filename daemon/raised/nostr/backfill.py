"""Everything a relay holds on one lane, to the end. Source: nostr-sdk.md 10.

Pages go backward by `until` = oldest + 1: right whether a relay takes `until` as inclusive or
not. Among the oldest of a page may be events that somebody published just now and dated back;
behind them would be a hole, so one in twenty is not trusted to be the page's end. A page that is
shorter than its limit proves nothing, relays cap; the end is a page without a new id, with an EOSE
behind it. A page that is full of one second cannot be passed by `until`: there NIP-77 names what is
missing, and without it the lane is not complete.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from raised.domain.event import Event
from raised.nostr.filters import Filter

PAGE: Final = 500
CAPPED: Final = 100  # a page of fewer is not worth the fast way
OVERLAP: Final = 20  # of so many events of a page one may be of those published meanwhile
IDS: Final = 400
WINDOW: Final = 5_000  # ids compared at once


class Shelf(Protocol):
    """What a back-fill asks of a relay. Every call may raise Unavailable or Refused."""

    largest: int  # the largest page so far: it caps there, or further up

    async def page(self, asked: Filter) -> Sequence[Event]:
        """Events that match; perhaps not all that the relay would give."""
        ...

    async def sure_page(self, asked: Filter) -> Sequence[Event]:
        """Events that match, all that the relay gives: an EOSE came behind them."""
        ...

    async def unseen(self, asked: Filter, held: Sequence[Event]) -> Sequence[str] | None:
        """Ids that match and are not `held`; None when the relay cannot say."""
        ...

    async def take(self, events: Sequence[Event]) -> None:
        """Have these events on their way into the record."""
        ...


@dataclass(slots=True)
class _Lane:
    """How far the reading of a lane is."""

    asked: Filter
    top: int
    until: int
    seen: dict[str, Event] = field(default_factory=dict[str, Event])
    short: bool = False
    complete: bool = True


async def read_lane(shelf: Shelf, lane: Filter, until: int, *, compare: bool) -> bool:
    """Take every event of the lane up to `until`; whether nothing can be missing.

    With `compare` the result is compared with the relay's own list, where it keeps one.
    """
    state = _Lane(lane, until, until)
    while await _step(shelf, state):
        pass
    if compare:
        for window in _windows(state):
            await _fill(shelf, window, state)
    return state.complete


async def _step(shelf: Shelf, lane: _Lane) -> bool:
    """Take one page; whether there may be another."""
    page = await _page(shelf, lane)
    if not page:
        return False
    shelf.largest = max(shelf.largest, len(page))
    times = sorted(event.created_at for event in page)
    if fresh := _fresh(page, lane):
        lane.seen.update((event.id, event) for event in fresh)
        await shelf.take(fresh)
        lane.until = min(lane.until, times[len(page) // OVERLAP] + 1)
        return True
    if len(page) < shelf.largest - shelf.largest // OVERLAP:
        return False
    oldest = times[0]
    if oldest + 1 < lane.until:
        lane.until = oldest + 1
        return True
    # As many as this relay ever shows, all of one second: perhaps not all of that second.
    if len(page) >= CAPPED:
        second = {**lane.asked, "since": oldest, "until": oldest}
        lane.complete = await _fill(shelf, second, lane) and lane.complete
    lane.until -= 1
    return True


async def _page(shelf: Shelf, lane: _Lane) -> Sequence[Event]:
    """The next page. The fast way is trusted with what it brings, never with its silence."""
    asked = {**lane.asked, "until": lane.until, "limit": PAGE}
    if not lane.short:
        page = await shelf.page(asked)
        lane.short = len(page) < CAPPED
        if _fresh(page, lane) and not lane.short:
            return page
    return await shelf.sure_page(asked)


async def _fill(shelf: Shelf, asked: Filter, lane: _Lane) -> bool:
    """Take what the relay lists for `asked` and has not shown; whether it could say."""
    held = [event for event in lane.seen.values() if _is_within(event, asked)]
    ids = await shelf.unseen(asked, held)
    if ids is None:
        return False
    for start in range(0, len(ids), IDS):
        found = await shelf.page({"ids": list(ids[start : start + IDS])})
        lane.seen.update((event.id, event) for event in found)
        await shelf.take(found)
    return True


def _fresh(page: Sequence[Event], lane: _Lane) -> list[Event]:
    return [event for event in page if event.id not in lane.seen]


def _is_within(event: Event, asked: Filter) -> bool:
    since, until = asked.get("since", 0), asked["until"]
    assert isinstance(since, int), "ours"
    assert isinstance(until, int), "ours"
    return since <= event.created_at <= until


def _windows(lane: _Lane) -> Iterator[Filter]:
    """The lane in pieces of about WINDOW events, cut between seconds."""
    times = sorted(event.created_at for event in lane.seen.values())
    since = 0
    for at in times[WINDOW::WINDOW]:
        if at > since:
            yield {**lane.asked, "since": since, "until": at - 1}
            since = at
    yield {**lane.asked, "since": since, "until": lane.top}

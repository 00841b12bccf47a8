"""Reads every stored event of a filter from a relay. Source: docs/nostr.md 10.

Pages go backward by `until` = oldest + 1, which is right whether a relay takes `until` as
inclusive or not. Among the oldest events of a page may be some that were published just now and
dated back; events behind them would be skipped, so an event in twenty is not trusted to be the
end of the page. A page that is shorter than its limit proves nothing, since relays cap pages; the
end is a page without a new event, with an EOSE behind it. A page full of events of one second
cannot be passed by `until`: NIP-77 names the missing ones, and without it the filter stays
incomplete. Whether a page is full is measured: by the largest page that this relay ever gave.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from raised.domain.event import Event
from raised.nostr.filters import NO_UNTIL, Filter

PAGE_SIZE: Final = 500  # a usual cap of relays
SHORT_PAGE: Final = 100  # a page of fewer events is not worth the second connection
BACKDATED_SHARE: Final = 20  # an event in so many may have been published meanwhile
IDS_PER_FETCH: Final = 400
LATEST: Final = 1 << 33  # the year 2242
COMPARED_MAX: Final = 5_000  # ids compared at once by NIP-77


class StoredEvents(Protocol):
    """The stored events of a relay. Every call may raise Unavailable or Refused."""

    largest_page: int  # events of the largest page so far: it caps there, or further up

    async def page(self, conditions: Filter) -> Sequence[Event]:
        """Events that match; perhaps not all that the relay would give."""
        ...

    async def page_with_eose(self, conditions: Filter) -> Sequence[Event]:
        """Events that match, all that the relay gives: an EOSE came behind them."""
        ...

    async def missing_ids(
        self, conditions: Filter, events: Sequence[Event]
    ) -> Sequence[str] | None:
        """Ids that match and are not of `events`; None when the relay cannot compare."""
        ...

    async def ingest(self, events: Sequence[Event]) -> None:
        """Send these events on their way into the record."""
        ...


@dataclass(slots=True)
class _FilterProgress:
    """How far a filter was read."""

    conditions: Filter
    newest: int  # where the reading began; NO_UNTIL: at the newest of all
    until: int
    seen: dict[str, Event] = field(default_factory=dict[str, Event])
    had_short_page: bool = False
    smallest_cut: int | None = None  # the smallest page behind which there was more
    previous: int | None = None  # events of the page before
    checked: set[int] = field(default_factory=set[int])  # seconds that filled a page
    is_cap_measured: bool = False
    seemed_single: bool = False  # the relay seemed to hold one event, and no more
    is_complete: bool = True


async def read_filter(
    stored: StoredEvents, conditions: Filter, until: int | None, *, compare: bool
) -> bool:
    """Ingest every event of the filter; False when some may be missing.

    `until` is the latest date; without it any date will do, also one that is still to come.
    With `compare` the result is compared with the relay's own list by NIP-77, where it has it.
    """
    newest = NO_UNTIL if until is None else until
    progress = _FilterProgress(conditions, newest, newest)
    while await _read_page(stored, progress):
        pass
    if compare:
        for window in _windows(progress):
            await _fetch_missing(stored, window, progress)
    was_single = not progress.seemed_single or len(progress.seen) == 1
    return progress.is_complete and was_single


async def _read_page(stored: StoredEvents, progress: _FilterProgress) -> bool:
    """Ingest a page; whether there may be another."""
    page = await _next_page(stored, progress)
    if not page:
        return False
    stored.largest_page = max(stored.largest_page, len(page))
    times = sorted(event.created_at for event in page)
    if new := _new_events(page, progress):
        if progress.previous is not None:
            progress.smallest_cut = min(progress.smallest_cut or PAGE_SIZE, progress.previous)
        progress.previous = len(page)
        progress.seen.update((event.id, event) for event in new)
        await stored.ingest(new)
        progress.until = min(progress.until, times[len(page) // BACKDATED_SHARE] + 1)
        return True
    if not _may_be_cut(stored, progress, len(page)):
        return False  # below the cap, and nothing new: the end
    return await _pass_full_page(stored, progress, oldest=times[0], count=len(page))


async def _pass_full_page(
    stored: StoredEvents, progress: _FilterProgress, *, oldest: int, count: int
) -> bool:
    """Move on from a page at the relay's cap that brought nothing new."""
    if oldest + 1 < progress.until:
        progress.until = oldest + 1
        return True
    # All of one second, and as many as this relay ever sends: it may have more of that second.
    if oldest not in progress.checked:
        progress.checked.add(oldest)
        second = {**progress.conditions, "since": oldest, "until": oldest}
        is_whole = await _fetch_missing(stored, second, progress)
        is_whole = is_whole or await _is_within_cap(stored, progress, count)
        progress.is_complete = is_whole and progress.is_complete
    progress.until -= 1
    return True


def _may_be_cut(stored: StoredEvents, progress: _FilterProgress, count: int) -> bool:
    """Whether a page of so many events may be all that the relay shows of more."""
    cap = min(stored.largest_page, progress.smallest_cut or PAGE_SIZE)
    return count >= cap - cap // BACKDATED_SHARE


async def _is_within_cap(stored: StoredEvents, progress: _FilterProgress, count: int) -> bool:
    """Whether the relay shows more at once, when it is asked for anything at all.

    A relay with a single event looks like one that shows one a page, which none is known to do.
    """
    if not progress.is_cap_measured:
        progress.is_cap_measured = True
        page = await stored.page_with_eose({"until": LATEST, "limit": PAGE_SIZE})
        stored.largest_page = max(stored.largest_page, len(page))
        if len(page) == 1 and page[0].id not in progress.seen:
            progress.smallest_cut = 1
    if not _may_be_cut(stored, progress, count):
        return True
    progress.seemed_single = count == 1 == len(progress.seen) and progress.smallest_cut is None
    return progress.seemed_single


async def _next_page(stored: StoredEvents, progress: _FilterProgress) -> Sequence[Event]:
    """The next page. The fast way is believed what it brings, never that there is nothing."""
    conditions = {**_up_to(progress.conditions, progress.until), "limit": PAGE_SIZE}
    if not progress.had_short_page:
        page = await stored.page(conditions)
        progress.had_short_page = len(page) < SHORT_PAGE
        if _new_events(page, progress) and not progress.had_short_page:
            return page
    return await stored.page_with_eose(conditions)


async def _fetch_missing(
    stored: StoredEvents, conditions: Filter, progress: _FilterProgress
) -> bool:
    """Ingest what the relay has and pages did not show; False when it cannot compare."""
    seen = [event for event in progress.seen.values() if _is_within(event, conditions)]
    missing = await stored.missing_ids(conditions, seen)
    if missing is None:
        return False
    for start in range(0, len(missing), IDS_PER_FETCH):
        events = await stored.page({"ids": list(missing[start : start + IDS_PER_FETCH])})
        progress.seen.update((event.id, event) for event in events)
        await stored.ingest(events)
    return True


def _new_events(page: Sequence[Event], progress: _FilterProgress) -> list[Event]:
    return [event for event in page if event.id not in progress.seen]


def _is_within(event: Event, conditions: Filter) -> bool:
    since, until = conditions.get("since", 0), conditions.get("until", NO_UNTIL)
    assert isinstance(since, int), "made here"
    assert isinstance(until, int), "made here"
    return since <= event.created_at <= until


def _windows(progress: _FilterProgress) -> Iterator[Filter]:
    """The filter in parts of about COMPARED_MAX events, cut between seconds."""
    times = sorted(event.created_at for event in progress.seen.values())
    since = 0
    for at in times[COMPARED_MAX::COMPARED_MAX]:
        if at > since:
            yield {**progress.conditions, "since": since, "until": at - 1}
            since = at
    yield _up_to({**progress.conditions, "since": since}, progress.newest)


def _up_to(conditions: Filter, until: int) -> Filter:
    """The filter up to a time; relays need not understand a time that has no end."""
    return {**conditions, "until": until} if until < NO_UNTIL else conditions

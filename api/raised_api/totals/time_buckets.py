"""Days and weeks of the wall clock as spans of seconds. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from raised.errors import InvalidInput

MOST_BUCKETS = 5000

_DAYS = {"day": 1, "week": 7}


def edges_between(since: int, until: int, bucket: str, zone: tzinfo) -> list[int]:
    """The starts of the buckets from `since` up to `until`, exclusive, and the end of the last.

    Raises:
        InvalidInput: there are too many; it says what is wrong with `since`.
    """
    step = timedelta(days=_DAYS[bucket])
    edges: list[int] = []
    for day in _days(_first_day(since, bucket, zone), step):
        edge = _midnight(day, zone)
        if edges and edge == edges[-1]:
            continue  # a day that the zone left out, when it crossed the date line
        edges.append(edge)
        if edges[-1] >= until and len(edges) > 1:
            return edges
        if len(edges) > MOST_BUCKETS:
            break
    raise InvalidInput(f"begins a span of more than {MOST_BUCKETS} points")


def _first_day(since: int, bucket: str, zone: tzinfo) -> date:
    try:
        day = datetime.fromtimestamp(since, zone).date()
        return day - timedelta(days=day.weekday()) if bucket == "week" else day
    except (OverflowError, ValueError) as error:
        raise InvalidInput("begins a span that leaves the calendar") from error


def _days(first: date, step: timedelta) -> Iterator[date]:
    day = first
    while True:
        yield day
        try:
            day += step
        except OverflowError:
            return


def _midnight(day: date, zone: tzinfo) -> int:
    """The first instant of a day: where clocks jump over midnight, the instant of the jump."""
    try:
        return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())
    except OverflowError as error:  # the first day of year 1 begins in year 0 of UTC
        raise InvalidInput("begins a span that leaves the calendar") from error

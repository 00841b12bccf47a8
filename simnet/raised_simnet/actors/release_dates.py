"""When the stages of a Fund or Subscribe investment fall due. Source: docs/angor.md 9.2."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import count, islice


class Frequency(IntEnum):
    """How often a pattern pays."""

    WEEKLY = 0
    BIWEEKLY = 1
    MONTHLY = 2
    BIMONTHLY = 3
    QUARTERLY = 4


class PayoutDay(IntEnum):
    """What a pattern counts from."""

    FROM_START = 0
    OF_MONTH = 1
    OF_WEEK = 2


@dataclass(frozen=True, slots=True)
class Pattern:
    """A dynamic stage pattern; `day` is a day of the month (1..31) or of the week (0 is Sunday)."""

    pattern_id: int
    name: str
    frequency: Frequency
    stage_count: int
    payout: PayoutDay
    day: int = 0
    amount: int | None = None


_DAYS = {
    Frequency.WEEKLY: 7,
    Frequency.BIWEEKLY: 14,
    Frequency.MONTHLY: 30,
    Frequency.BIMONTHLY: 60,
    Frequency.QUARTERLY: 90,
}
_MONTHS = {Frequency.MONTHLY: 1, Frequency.BIMONTHLY: 2, Frequency.QUARTERLY: 3}


def payout_times(start_at: int, pattern: Pattern, stages: int) -> tuple[int, ...]:
    """The release times, unix seconds, of an investment that starts then.

    Clients start at midnight; those before 2026-03-02 did not.
    """
    moments = _moments(datetime.fromtimestamp(start_at, UTC), pattern)
    return tuple(int(moment.timestamp()) for moment in islice(moments, stages))


def _moments(start: datetime, pattern: Pattern) -> Iterator[datetime]:
    match pattern.payout:
        case PayoutDay.FROM_START:
            step = timedelta(days=_DAYS[pattern.frequency])
            return (start + step * (k + 1) for k in count())
        case PayoutDay.OF_WEEK:
            if pattern.frequency > Frequency.BIWEEKLY or not 0 <= pattern.day <= 6:
                raise ValueError("a day of the week every week or two")
            ahead = timedelta(days=(pattern.day - (start.weekday() + 1)) % 7)
            first = start.replace(hour=0, minute=0, second=0) + ahead
            step = timedelta(days=_DAYS[pattern.frequency])
            return (first + step * k for k in count())
        case PayoutDay.OF_MONTH:
            if pattern.frequency not in _MONTHS or not 1 <= pattern.day <= 31:
                raise ValueError("a day of the month every one, two or three months")
            return _month_days(start, pattern.day, _MONTHS[pattern.frequency])


def _month_days(start: datetime, day: int, step: int) -> Iterator[datetime]:
    month = start.year * 12 + start.month - 1
    if _day_in(month, day) < start:
        month += 1
    return (_day_in(month + step * k, day) for k in count())


def _day_in(month: int, day: int) -> datetime:
    year, zero_based = divmod(month, 12)
    last = monthrange(year, zero_based + 1)[1]
    return datetime(year, zero_based + 1, min(day, last), tzinfo=UTC)

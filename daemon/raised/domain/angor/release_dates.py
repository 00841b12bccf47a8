"""Release dates of dynamic stages. Source: docs/angor.md 9.2."""

from calendar import monthrange
from datetime import date
from enum import IntEnum
from typing import Final, Protocol

from raised.errors import InvalidInput

DAY_SECONDS: Final = 86_400
MAX_TIME: Final = 253_402_300_799  # the end of the year 9999, the last the clients can write
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DAYS_IN_WEEK: Final = 7
_MONTHS_IN_YEAR: Final = 12


class Frequency(IntEnum):
    """How far stages lie apart."""

    WEEKLY = 0
    BIWEEKLY = 1
    MONTHLY = 2
    BIMONTHLY = 3
    QUARTERLY = 4


class PayoutDayType(IntEnum):
    """What the payout day of a pattern counts."""

    FROM_START_DATE = 0
    SPECIFIC_DAY_OF_MONTH = 1
    SPECIFIC_DAY_OF_WEEK = 2


_DAYS: Final = {
    Frequency.WEEKLY: 7,
    Frequency.BIWEEKLY: 14,
    Frequency.MONTHLY: 30,
    Frequency.BIMONTHLY: 60,
    Frequency.QUARTERLY: 90,
}
_WEEKS: Final = {Frequency.WEEKLY: 1, Frequency.BIWEEKLY: 2}
_MONTHS: Final = {Frequency.MONTHLY: 1, Frequency.BIMONTHLY: 2, Frequency.QUARTERLY: 3}


class Calendar(Protocol):
    """What of a pattern decides dates; None stands for a number that no client knows."""

    @property
    def frequency(self) -> Frequency | None:
        """How often it pays out."""
        ...

    @property
    def payout_day_type(self) -> PayoutDayType | None:
        """Which day of that time `payout_day` counts."""
        ...

    @property
    def payout_day(self) -> int:
        """The day it pays out, as its type counts."""
        ...


def dynamic_release(start_at: int, pattern: Calendar, index: int) -> int:
    """When stage `index` (from zero) of an investment that starts at `start_at` is released.

    Raises InvalidInput for patterns that the clients refuse, and dates past the year 9999.
    """
    frequency, kind = pattern.frequency, pattern.payout_day_type
    if frequency is None or kind is None or not 0 <= start_at <= MAX_TIME or index < 0:
        raise InvalidInput("no calendar for such a pattern or start")
    if kind is PayoutDayType.FROM_START_DATE:
        release_at = start_at + (index + 1) * _DAYS[frequency] * DAY_SECONDS
    elif kind is PayoutDayType.SPECIFIC_DAY_OF_MONTH:
        release_at = _on_day_of_month(start_at, frequency, pattern.payout_day, index)
    else:
        release_at = _on_day_of_week(start_at, frequency, pattern.payout_day, index)
    if release_at > MAX_TIME:
        raise InvalidInput("a date past the year 9999")
    return release_at


def _on_day_of_month(start_at: int, frequency: Frequency, payout_day: int, index: int) -> int:
    step = _MONTHS.get(frequency)
    if step is None or not 1 <= payout_day <= 31:
        raise InvalidInput("no such day of the month, or a frequency without months")
    day = date.fromordinal(_EPOCH_ORDINAL + start_at // DAY_SECONDS)
    month = day.year * _MONTHS_IN_YEAR + day.month - 1
    if _in_month(month, payout_day) < start_at:
        month += 1
    return _in_month(month + step * index, payout_day)


def _in_month(month: int, payout_day: int) -> int:
    """Midnight of that day, or of the month's last day when it is shorter."""
    year, zero_based = divmod(month, _MONTHS_IN_YEAR)
    if year > date.max.year:
        raise InvalidInput("a date past the year 9999")
    day = min(payout_day, monthrange(year, zero_based + 1)[1])
    return (date(year, zero_based + 1, day).toordinal() - _EPOCH_ORDINAL) * DAY_SECONDS


def _on_day_of_week(start_at: int, frequency: Frequency, payout_day: int, index: int) -> int:
    weeks = _WEEKS.get(frequency)
    if weeks is None or not 0 <= payout_day < _DAYS_IN_WEEK:
        raise InvalidInput("no such day of the week, or a frequency without weeks")
    start_day = start_at // DAY_SECONDS
    weekday = (start_day + 4) % _DAYS_IN_WEEK  # 1970-01-01 was a Thursday, Sunday counts 0
    first = start_day + (payout_day - weekday) % _DAYS_IN_WEEK
    return (first + index * weeks * _DAYS_IN_WEEK) * DAY_SECONDS

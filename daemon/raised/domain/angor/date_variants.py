"""The dates that the leaves of an investment may contain; clients changed their rules over time.

Every rule that was in force is tried, and the scripts on the chain show which one was used.
Source: docs/angor.md 9.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from raised.domain.angor.amounts import equal_percents
from raised.domain.angor.op_return import DynamicInfo
from raised.domain.angor.release_dates import DAY_SECONDS, PayoutDayType, dynamic_release
from raised.domain.angor.stage_output import MAX_LOCKTIME
from raised.domain.angor.terms import Pattern, ProjectType, Terms
from raised.errors import InvalidInput

# The day clients began to cut the start of an investment to midnight (docs/angor.md 15).
_MIDNIGHT_SINCE: Final = 1_772_409_600


@dataclass(frozen=True, slots=True)
class DateVariant:
    """One way in which the stages of an investment may be laid out.

    `pattern` is None for type Invest. `by_id` is false where clients before 2026-03-02 took the
    pattern by its place in the list.
    """

    stage_count: int
    pattern: Pattern | None
    by_id: bool


def date_variants(terms: Terms, dynamic: DynamicInfo | None) -> tuple[DateVariant, ...]:
    """The layouts an investment with this dynamic info may have, the likely one first.

    Empty when the info is absent, not expected, or names no pattern of the project.
    """
    if terms.type is ProjectType.INVEST:
        return () if dynamic else (DateVariant(len(terms.stages), None, by_id=True),)
    if dynamic is None:
        return ()
    named = [pattern for pattern in terms.patterns if pattern.pattern_id == dynamic.pattern_id][:1]
    placed = [
        pattern for pattern in terms.patterns[dynamic.pattern_id :][:1] if pattern not in named
    ]
    patterns = [(pattern, True) for pattern in named] + [(pattern, False) for pattern in placed]
    return tuple(
        DateVariant(dynamic.stage_count or pattern.stage_count, pattern, by_id)
        for pattern, by_id in patterns
    )


def releases(
    terms: Terms, dynamic: DynamicInfo | None, variant: DateVariant
) -> Iterator[tuple[int, ...]]:
    """The release dates of all stages, in every way that clients have computed them."""
    pattern = variant.pattern
    if pattern is None or dynamic is None:
        dates = tuple(stage.release_at for stage in terms.stages)
        if _fits(dates):
            yield dates
        return
    # On a payout day the time of day, which clients did not cut off, moved all to the next month.
    late = pattern.payout_day_type is PayoutDayType.SPECIFIC_DAY_OF_MONTH
    for start_at in (dynamic.start_at, dynamic.start_at + DAY_SECONDS)[: 1 + late]:
        try:
            stages = range(variant.stage_count)
            dates = tuple(dynamic_release(start_at, pattern, index) for index in stages)
        except InvalidInput:
            return
        if _fits(dates):
            yield dates


def _fits(dates: tuple[int, ...]) -> bool:
    return all(0 <= date <= MAX_LOCKTIME for date in dates)


def expiries(terms: Terms, gross_sats: int) -> tuple[int, ...]:
    """The dates the end leaf may carry: today's rule first, then those of older clients."""
    start_at = terms.start_at
    midnight = None if start_at is None else start_at - start_at % DAY_SECONDS
    threshold = terms.penalty_threshold_sats
    match terms.type:
        case ProjectType.SUBSCRIBE:
            first = start_at
        case ProjectType.FUND if threshold is not None and gross_sats <= threshold:
            first = midnight
        case _:
            first = terms.expiry_at
    candidates = (first, terms.expiry_at, midnight, start_at)
    known = dict.fromkeys(date for date in candidates if date is not None)
    return tuple(date for date in known if 0 <= date <= MAX_LOCKTIME)


def percents(terms: Terms, variant: DateVariant) -> tuple[Decimal, ...]:
    """The shares of the stages."""
    if variant.pattern is None:
        return tuple(stage.percent for stage in terms.stages)
    return equal_percents(variant.stage_count)


def may_hide_time_of_day(dynamic: DynamicInfo | None, variant: DateVariant) -> bool:
    """Whether the dates may carry a time of day that the chain does not record.

    Stages counted in days from the start kept the second of investing until clients cut it off.
    A search over a day's seconds would tell, at seconds of work for each; anybody could ask for
    that with a look-alike, so it is not made. Source: docs/angor.md 9.3.
    """
    if dynamic is None or variant.pattern is None or dynamic.start_at >= _MIDNIGHT_SINCE:
        return False
    return variant.pattern.payout_day_type is PayoutDayType.FROM_START_DATE

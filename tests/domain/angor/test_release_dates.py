"""Dates of dynamic stages, against all cases of the vectors and the reference's own."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.release_dates import (
    DAY_SECONDS,
    MAX_TIME,
    Frequency,
    PayoutDayType,
    dynamic_release,
)
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
DATES: dict[str, Any] = json.loads((VECTORS / "dynamic_dates.json").read_text())
GOLDEN: dict[str, Any] = json.loads((VECTORS / "reference_golden.json").read_text())["dynamicDates"]


@dataclass(frozen=True)
class Calendar:
    frequency: Frequency | None
    payout_day_type: PayoutDayType | None
    payout_day: int


def calendar_of(case: dict[str, Any]) -> Calendar:
    return Calendar(
        Frequency(case["frequency"]), PayoutDayType(case["payoutDayType"]), case["payoutDay"]
    )


def midnight(iso_date: str) -> int:
    return int(datetime.fromisoformat(iso_date).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("case", DATES["cases"])
def test_every_stage_of_the_vectors_comes_on_its_day(case: dict[str, Any]) -> None:
    for stage in case["stages"]:
        found = dynamic_release(case["start"], calendar_of(case), stage["stageIndex"])
        assert found == stage["releaseDate"]


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_every_stage_of_the_reference_tests_comes_on_its_day(case: dict[str, Any]) -> None:
    for stage in case["expected"]:
        start_at = midnight(case["start"])
        found = dynamic_release(start_at, calendar_of(case), stage["stageIndex"])
        assert found == midnight(stage["date"])


@pytest.mark.parametrize("case", [*DATES["errors"], *GOLDEN["errors"]])
def test_patterns_that_the_clients_refuse_have_no_dates(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        dynamic_release(1_769_731_200, calendar_of(case), 0)


@pytest.mark.parametrize(
    "calendar",
    [
        Calendar(None, PayoutDayType.FROM_START_DATE, 0),
        Calendar(Frequency.WEEKLY, None, 0),
    ],
)
def test_unknown_numbers_have_no_dates(calendar: Calendar) -> None:
    with pytest.raises(InvalidInput):
        dynamic_release(0, calendar, 0)


@pytest.mark.parametrize("kind", list(PayoutDayType))
def test_no_date_lies_past_the_last_that_can_be_written(kind: PayoutDayType) -> None:
    frequency = (
        Frequency.BIWEEKLY if kind is PayoutDayType.SPECIFIC_DAY_OF_WEEK else Frequency.MONTHLY
    )
    calendar = Calendar(frequency, kind, 1)
    for start_at, index in ((MAX_TIME, 5), (MAX_TIME + 1, 0), (-1, 0), (0, -1), (0, 10**9)):
        with pytest.raises(InvalidInput):
            dynamic_release(start_at, calendar, index)


@given(
    st.integers(0, 1 << 33),
    st.sampled_from(Frequency),
    st.sampled_from(PayoutDayType),
    st.integers(-2, 33),
    st.integers(0, 255),
)
def test_dates_grow_and_never_come_before_the_day_of_the_start(
    start_at: int, frequency: Frequency, kind: PayoutDayType, payout_day: int, index: int
) -> None:
    calendar = Calendar(frequency, kind, payout_day)
    try:
        first, second = (dynamic_release(start_at, calendar, index + i) for i in (0, 1))
    except InvalidInput:
        return
    assert start_at // DAY_SECONDS * DAY_SECONDS <= first < second
    if kind is not PayoutDayType.FROM_START_DATE:
        assert first % DAY_SECONDS == 0

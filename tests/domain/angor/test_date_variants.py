"""The dates an investment may carry: today's rules first, then those of older clients."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.date_variants import (
    DateVariant,
    date_variants,
    expiries,
    may_hide_time_of_day,
    releases,
)
from raised.domain.angor.op_return import DynamicInfo
from raised.domain.angor.release_dates import PayoutDayType
from raised.domain.angor.terms import Terms, parse_terms

ANGOR = vectors.ANGOR
PROJECTS: list[dict[str, Any]] = json.loads((ANGOR / "stage_scripts.json").read_text())["projects"]
DAY = 86_400
MIDNIGHT = 1_767_571_200  # 2026-01-05
EXPIRY = 1_799_107_200


def terms_of(name: str) -> Terms:
    info = next(project["projectInfo"] for project in PROJECTS if project["name"] == name)
    return parse_terms(json.dumps(info), 1_767_600_000)


INVEST, FUND, SUBSCRIBE = map(terms_of, ("invest_basic", "fund_threshold", "subscribe"))


def patterns_of(found: tuple[DateVariant, ...]) -> list[tuple[int, bool]]:
    return [(match.pattern.pattern_id, match.by_id) for match in found if match.pattern is not None]


def dynamic(pattern_id: int, *, stage_count: int = 0, start_at: int = MIDNIGHT) -> DynamicInfo:
    return DynamicInfo(start_at=start_at, pattern_id=pattern_id, stage_count=stage_count)


def test_invest_projects_have_one_layout_and_no_dynamic_info() -> None:
    assert date_variants(INVEST, None) == (DateVariant(3, None, by_id=True),)
    assert date_variants(INVEST, dynamic(0)) == ()


def test_a_pattern_is_named_by_its_id_and_was_named_by_its_place() -> None:
    """The fund lists its patterns as ids 7, 0, 2."""
    assert date_variants(FUND, None) == ()
    assert patterns_of(date_variants(FUND, dynamic(7))) == [(7, True)]
    assert patterns_of(date_variants(FUND, dynamic(0))) == [(0, True), (7, False)]
    assert patterns_of(date_variants(FUND, dynamic(1))) == [(0, False)]
    assert patterns_of(date_variants(FUND, dynamic(2))) == [(2, True)]
    assert date_variants(FUND, dynamic(9)) == ()


def test_a_stage_count_in_the_transaction_overrides_the_pattern() -> None:
    assert [date_variant.stage_count for date_variant in date_variants(FUND, dynamic(7))] == [6]
    assert [
        date_variant.stage_count for date_variant in date_variants(FUND, dynamic(7, stage_count=4))
    ] == [4]


@pytest.mark.parametrize(
    ("gross", "expected"),
    [
        (5_000_001, (EXPIRY, MIDNIGHT, MIDNIGHT + 37_800)),
        (5_000_000, (MIDNIGHT, EXPIRY, MIDNIGHT + 37_800)),
        (1, (MIDNIGHT, EXPIRY, MIDNIGHT + 37_800)),
    ],
)
def test_a_fund_lets_small_investors_leave_from_the_start(
    *, gross: int, expected: tuple[int, ...]
) -> None:
    """Equality counts as small; the start date has a time of day, which clients once kept."""
    assert expiries(FUND, gross) == expected


def test_the_other_types_have_one_rule_each() -> None:
    assert expiries(INVEST, 1) == (INVEST.expiry_at, INVEST.start_at)
    assert expiries(replace(FUND, penalty_threshold_sats=None), 1)[0] == EXPIRY
    assert expiries(SUBSCRIBE, 10**9)[0] == SUBSCRIBE.start_at
    assert INVEST.start_at is not None
    assert expiries(replace(INVEST, start_at=INVEST.start_at + 5), 1) == (
        INVEST.expiry_at,
        INVEST.start_at,
        INVEST.start_at + 5,
    )


@pytest.mark.parametrize("gross", [1, 10**9])
def test_a_start_that_is_not_set_leaves_the_expiry(gross: int) -> None:
    """Clients wrote such terms, and no script of an Invest project contains the start."""
    for terms in (INVEST, FUND):
        assert expiries(replace(terms, start_at=None), gross) == (terms.expiry_at,)
    assert expiries(replace(SUBSCRIBE, start_at=None), gross) == (SUBSCRIBE.expiry_at,)


def test_dates_that_no_lock_holds_are_left_out() -> None:
    assert expiries(replace(INVEST, expiry_at=None, start_at=-5), 1) == ()
    assert expiries(replace(INVEST, expiry_at=2**32), 1) == (INVEST.start_at,)
    late = tuple(replace(stage, release_at=2**32) for stage in INVEST.stages)
    assert list(releases(replace(INVEST, stages=late), None, date_variants(INVEST, None)[0])) == []


def test_the_releases_of_an_invest_project_are_its_stages() -> None:
    (layout,) = date_variants(INVEST, None)
    expected = tuple(stage.release_at for stage in INVEST.stages)
    assert list(releases(INVEST, None, layout)) == [expected]


def test_on_a_payout_day_older_clients_began_a_month_later() -> None:
    """Pattern 0 pays on the first of each month."""
    first_of_february = 1_769_904_000
    info = dynamic(0, start_at=first_of_february)
    today, older = releases(FUND, info, date_variants(FUND, info)[0])
    assert today[0] == first_of_february
    assert older[:2] == today[1:]
    between = dynamic(0, start_at=first_of_february + 9 * DAY)
    today, older = releases(FUND, between, date_variants(FUND, between)[0])
    assert today == older


def test_a_pattern_whose_parts_do_not_fit_has_no_dates() -> None:
    monthly_weekday = replace(FUND.patterns[0], payout_day_type=PayoutDayType.SPECIFIC_DAY_OF_WEEK)
    layout = DateVariant(3, monthly_weekday, by_id=True)
    assert list(releases(FUND, dynamic(7), layout)) == []


def test_a_start_past_all_locks_has_no_dates() -> None:
    """Sixteen bits of days reach the year 2204, the locks of the clients 2106."""
    info = dynamic(7, start_at=1_735_689_600 + 65_535 * DAY)
    assert list(releases(FUND, info, date_variants(FUND, info)[0])) == []


def test_only_days_from_the_start_may_hide_a_time_of_day() -> None:
    before, after = 1_772_323_200, 1_772_409_600  # 2026-03-01 and 02
    for pattern_id, hides in ((7, True), (0, False), (2, False)):
        info = dynamic(pattern_id, start_at=before)
        layout = date_variants(FUND, info)[0]
        assert may_hide_time_of_day(info, layout) is hides
        assert not may_hide_time_of_day(dynamic(pattern_id, start_at=after), layout)
    assert not may_hide_time_of_day(None, date_variants(INVEST, None)[0])

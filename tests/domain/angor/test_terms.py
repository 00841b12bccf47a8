"""Project events: every event of the vectors, what is tolerated, and what strangers may send."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.network import network_named
from raised.domain.angor.release_dates import Frequency, PayoutDayType
from raised.domain.angor.terms import (
    Announcement,
    ProjectType,
    RejectedEvent,
    StageTerm,
    Terms,
    check_announcement,
    parse_terms,
)
from raised.domain.event import Event, event_from_json, is_authentic
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
EVENTS: dict[str, Any] = json.loads((VECTORS / "events.json").read_text())
NEW = 1_767_600_000
OLD = 1_700_000_000
PLAIN: dict[str, Any] = json.loads(EVENTS["projectEvents"][0]["event"]["content"])
FUND: dict[str, Any] = json.loads(EVENTS["projectEvents"][3]["event"]["content"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def event_named(name: str) -> Event:
    groups = (*EVENTS["projectEvents"], *EVENTS["invalid"])
    return event_from_json(next(group["event"] for group in groups if group["name"] == name))


def terms_with(base: dict[str, Any] = PLAIN, **changes: object) -> Terms:
    return parse_terms(json.dumps({**base, **changes}), NEW)


@pytest.mark.parametrize("entry", EVENTS["projectEvents"], ids=lambda entry: str(entry["name"]))
def test_a_project_event_is_announced_on_the_network_it_names(entry: dict[str, Any]) -> None:
    event = event_from_json(entry["event"])
    content = json.loads(event.content)
    network = network_named(content.get("networkName", "Angornet"))
    found = check_announcement(event, network)
    assert is_authentic(event)
    assert isinstance(found, Announcement)
    assert found.rule == "v2"
    assert found.terms.project_id == content["projectIdentifier"]
    assert found.terms.founder_key.hex() == content["founderKey"]
    assert found.terms.founder_recovery_key.hex() == content["founderRecoveryKey"]
    assert found.terms.nostr_pubkey == event.pubkey
    assert found.terms.penalty_days == content["penaltyDays"]
    assert found.terms.type == content.get("projectType", 0)
    assert found.terms.start_at == content["startDate"]
    assert found.terms.expiry_at == content["expiryDate"]
    assert found.terms.penalty_threshold_sats == content.get("penaltyThreshold")
    assert len(found.terms.patterns) == len(content.get("dynamicStagePatterns", []))
    assert [(stage.percent, stage.release_at) for stage in found.terms.stages] == [
        (Decimal(str(stage["amountToRelease"])), stage["releaseDate"])
        for stage in content["stages"]
    ]
    assert [value[::-1].hex() for value in found.terms.seeders.secret_hashes] == content[
        "projectSeeders"
    ]["secretHashes"]


@pytest.mark.parametrize(
    ("name", "authentic", "reason"),
    [
        ("changed content", False, None),
        ("bad signature", False, None),
        ("signed by a key other than nostrPubKey", True, "not_author"),
        ("founder key of another project", True, "not_founder_key"),
        ("content is not JSON", True, "bad_terms"),
        ("ISO date string", True, "bad_terms"),
    ],
)
def test_invalid_events_are_told_apart(name: str, *, authentic: bool, reason: str | None) -> None:
    event = event_named(name)
    assert is_authentic(event) is authentic
    if reason is not None:
        assert check_announcement(event, network_named("angornet")) == RejectedEvent(event, reason)  # type: ignore[arg-type]  # a word of the closed set


def test_all_invalid_events_of_the_vectors_are_covered() -> None:
    assert len(EVENTS["invalid"]) == 6


@pytest.mark.parametrize("case", EVENTS["tolerance"], ids=lambda case: str(case["name"]))
def test_what_is_odd_but_read_changes_no_script(case: dict[str, Any]) -> None:
    terms = parse_terms(case["content"], NEW)
    plain = parse_terms(json.dumps(PLAIN), NEW)
    assert terms.type is ProjectType.INVEST
    assert terms.stages == plain.stages
    assert (terms.founder_key, terms.expiry_at, terms.penalty_days, terms.seeders) == (
        plain.founder_key,
        plain.expiry_at,
        plain.penalty_days,
        plain.seeders,
    )
    assert terms.target_sats == 50_000_000


@pytest.mark.parametrize("entry", EVENTS["otherEvents"], ids=lambda entry: str(entry["name"]))
def test_other_events_announce_no_project(entry: dict[str, Any]) -> None:
    event = event_from_json(entry["event"])
    assert is_authentic(event)
    assert check_announcement(event, network_named("angornet")) == RejectedEvent(event, "bad_terms")


def test_an_event_of_another_network_is_refused_for_that() -> None:
    event = event_named("invest_main_2040")
    found = check_announcement(event, network_named("angornet"))
    assert found == RejectedEvent(event, "wrong_network")


def test_an_event_that_names_no_network_belongs_where_its_key_derives() -> None:
    event = event_named("invest_v1")
    assert isinstance(check_announcement(event, network_named("signet")), Announcement)
    found = check_announcement(event, network_named("main"))
    assert found == RejectedEvent(event, "not_founder_key")


def test_percentages_are_read_as_they_are_written() -> None:
    event = event_named("invest_main_2040")
    stages = parse_terms(event.content, event.created_at).stages
    assert [str(stage.percent) for stage in stages] == ["33.33", "33.33", "33.34"]
    assert StageTerm(Decimal("10.0"), 5) == StageTerm(Decimal(10), 5)


@pytest.mark.parametrize(
    ("target", "created_at", "sats"),
    [
        (50_000_000, NEW, 50_000_000),
        (50_000_000.0, NEW, 50_000_000),
        (0.5, NEW, 50_000_000),
        (1, OLD, 100_000_000),
        (1, NEW, 1),
        (21_000, OLD, 21_000),
        (0, NEW, None),
        (-5, NEW, None),
        (None, NEW, None),
        (10**30, NEW, None),
        (20_999_999.5, NEW, 2_099_999_950_000_000),
        (21_000_001.5, NEW, None),
    ],
)
def test_a_target_in_btc_is_told_from_sats(
    target: float | None, created_at: int, sats: int | None
) -> None:
    content = json.dumps({**PLAIN, "targetAmount": target})
    assert parse_terms(content, created_at).target_sats == sats


@pytest.mark.parametrize("unset", [-62_135_596_800, -62_135_578_800, -1, None])
def test_dates_before_1970_are_not_set(unset: int | None) -> None:
    terms = terms_with(endDate=unset, expiryDate=unset)
    assert terms.end_at is None
    assert terms.expiry_at is None


def test_patterns_are_read_whole() -> None:
    pattern = terms_with(FUND).patterns[0]
    assert (pattern.pattern_id, pattern.name, pattern.stage_count) == (7, "6 x 30 days", 6)
    assert pattern.frequency is Frequency.MONTHLY
    assert pattern.payout_day_type is PayoutDayType.FROM_START_DATE
    assert pattern.amount_sats is None


def test_a_pattern_of_unknown_numbers_does_not_spoil_the_others() -> None:
    odd = {"patternId": 9, "name": "odd", "frequency": 77, "payoutDayType": -3, "stageCount": 2}
    terms = terms_with(FUND, dynamicStagePatterns=[odd, *FUND["dynamicStagePatterns"]])
    assert terms.patterns[0].frequency is None
    assert terms.patterns[0].payout_day_type is None
    assert len(terms.patterns) == 4


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "7",
        '"text"',
        "{",
        "{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"version":' + "9" * 10_000 + "}",
        '{"version":NaN}',
        '{"version":1e9999999999}',
    ],
    ids=lambda content: str(content)[:20],
)
def test_hostile_texts_are_refused_at_once(content: str) -> None:
    with pytest.raises(InvalidInput):
        parse_terms(content, NEW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("founderKey", None),
        ("founderKey", "02" + "ff" * 32),
        ("founderKey", "04" + PLAIN["founderKey"][2:]),
        ("founderKey", " " + PLAIN["founderKey"]),
        ("founderKey", 7),
        ("founderRecoveryKey", "00" * 33),
        ("founderRecoveryKey", PLAIN["founderKey"][:-2]),
        ("projectIdentifier", "angor1qqqq"),
        ("projectIdentifier", None),
        ("projectIdentifier", ["angor1"]),
        ("nostrPubKey", None),
        ("nostrPubKey", "zz" * 32),
        ("networkName", 5),
        ("projectType", 3),
        ("projectType", -1),
        ("projectType", "0"),
        ("projectType", True),
        ("version", 2.0),
        ("version", 1 << 31),
        ("version", 10**400),
        ("startDate", 1767571200.0),
        ("startDate", 253_402_300_800),
        ("endDate", 10**30),
        ("endDate", "2026-01-05"),
        ("expiryDate", -(10**12)),
        ("expiryDate", 1.5),
        ("penaltyDays", -(1 << 31) - 1),
        ("penaltyDays", 1 << 31),
        ("penaltyDays", 1e3),
        ("penaltyThreshold", -(1 << 63) - 1),
        ("penaltyThreshold", 1 << 63),
        ("penaltyThreshold", 0.5),
        ("targetAmount", "5"),
        ("targetAmount", False),
        ("stages", {}),
        ("stages", [7]),
        ("stages", [{}]),
        ("stages", [{"amountToRelease": 10}]),
        ("stages", [{"amountToRelease": -1, "releaseDate": 5}]),
        ("stages", [{"amountToRelease": 101, "releaseDate": 5}]),
        ("stages", [{"amountToRelease": "10", "releaseDate": 5}]),
        ("stages", [{"amountToRelease": 10, "releaseDate": -1}]),
        ("stages", [{"amountToRelease": 10, "releaseDate": 10**20}]),
        ("stages", [{"amountToRelease": 0, "releaseDate": 5}] * 1_001),
        ("projectSeeders", []),
        ("projectSeeders", {"threshold": 0.5, "secretHashes": []}),
        ("projectSeeders", {"threshold": 1, "secretHashes": ["00"]}),
        ("projectSeeders", {"threshold": 1, "secretHashes": [5]}),
        ("projectSeeders", {"threshold": 1, "secretHashes": ["00" * 32] * 10_001}),
        ("dynamicStagePatterns", [{"patternId": 256}]),
        ("dynamicStagePatterns", [{"patternId": 1, "stageCount": 10**6}]),
        ("dynamicStagePatterns", [{"patternId": 1, "stageCount": -1}]),
        ("dynamicStagePatterns", [{"patternId": 1, "frequency": 1 << 40}]),
        ("dynamicStagePatterns", [{"patternId": 1, "amount": -1}]),
        ("dynamicStagePatterns", [{"patternId": 1, "name": "\ud800"}]),
        ("dynamicStagePatterns", ["monthly"]),
        ("dynamicStagePatterns", [{}] * 1_001),
    ],
)
def test_fields_that_mean_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput):
        terms_with(**{name: value})


def test_what_may_be_absent_may_be_absent() -> None:
    needed = ("founderKey", "founderRecoveryKey", "projectIdentifier", "nostrPubKey")
    terms = parse_terms(json.dumps({name: PLAIN[name] for name in needed}), NEW)
    assert terms.version == 1
    assert terms.stages == ()
    assert terms.seeders.secret_hashes == ()
    assert terms.penalty_days == 0
    assert terms.network_name == ""
    assert terms.start_at is None


@pytest.mark.parametrize("unset", [None, -1, -62_135_596_800, -62_135_578_800])
@pytest.mark.parametrize("base", [PLAIN, FUND], ids=["invest", "fund"])
def test_a_start_that_is_not_set_spoils_nothing(base: dict[str, Any], unset: int | None) -> None:
    terms = terms_with(base, startDate=unset)
    assert terms.start_at is None
    assert terms.stages == terms_with(base).stages


def test_an_unread_key_spoils_nothing_whatever_stands_under_it() -> None:
    content = json.dumps(PLAIN)[:-1]
    for odd in ("1" * 45, "0." + "7" * 50, "1e99999999999", '[{"a":-1e-99999999999}]', '"\\ud800"'):
        assert parse_terms(f'{content},"extra":{odd}}}', NEW) == terms_with()


def test_a_long_percentage_is_rounded_as_the_clients_round() -> None:
    content = json.dumps({**PLAIN, "stages": [{"amountToRelease": "P", "releaseDate": 5}]})
    terms = parse_terms(content.replace('"P"', "33." + "3" * 60), NEW)
    assert str(terms.stages[0].percent) == "33.3333333333333333333333333333"[:30]


@given(st.text(max_size=200) | JSON.map(json.dumps))
def test_any_text_is_terms_or_refused(content: str) -> None:
    with pytest.raises(InvalidInput):
        parse_terms(content, NEW)


@given(st.sampled_from(sorted(FUND)), JSON)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: Any) -> None:
    try:
        terms = terms_with(FUND, **{name: value})
    except InvalidInput:
        return
    assert len(terms.founder_key) == 33

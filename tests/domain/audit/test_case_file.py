"""Documents to audit: what is read of them, and what is no case at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.audit.case_file import audit_file, audit_text
from raised.domain.audit.report import AuditReport, as_json
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
Story = dict[str, Any]


def story_of(name: str) -> Story:
    story: Story = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    return story


def audited(story: Story) -> dict[str, Any]:
    report: dict[str, Any] = as_json(audit_file(story))
    return report


def assert_adds_up(totals: dict[str, int]) -> None:
    parts = (
        "claimed",
        "recovery",
        "unfunded_release",
        "penalty_free_recovery",
        "end_of_project",
        "unknown",
        "locked",
    )
    assert totals["raised_sats"] == sum(totals[f"{part}_sats"] for part in parts)
    assert totals["recovery_sats"] == totals["in_penalty_sats"] + totals["penalty_released_sats"]
    assert all(value >= 0 for value in totals.values())


def as_totals(report: AuditReport) -> dict[str, int]:
    totals = as_json(report)["totals"]
    assert isinstance(totals, dict)
    return totals


@pytest.mark.parametrize("name", NAMES)
def test_only_the_needed_keys_are_read(name: str) -> None:
    story = story_of(name)
    bare = {
        "network": story["network"].upper(),
        "projectEvent": story["projectEvent"],
        "transactions": [
            {key: transaction[key] for key in ("hex", "height", "time", "indexInBlock")}
            for transaction in story["transactions"]
        ],
    }
    assert audited(bare) == audited(story)
    assert as_json(audit_text(json.dumps(bare))) == audited(story)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": None},
        {"network": 7},
        {"network": "Liquid"},
        {"transactions": None},
        {"transactions": {}},
        {"transactions": [5]},
        {"projectEvent": []},
        {"projectEvent": {"id": "00"}},
    ],
)
def test_a_bad_document_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        audit_file({**story_of("subscribe"), **changes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hex", None),
        ("hex", ""),
        ("hex", "zz"),
        ("hex", "0"),
        ("hex", "00 00"),
        ("hex", "00" * 10),
        ("hex", 5),
        ("height", "5"),
        ("height", -1),
        ("height", 1.0),
        ("height", True),
        ("height", 10**400),
        ("time", None),
        ("time", -1),
        ("time", 10**30),
        ("indexInBlock", None),
        ("indexInBlock", "1"),
    ],
)
def test_a_bad_transaction_is_refused_by_its_number(name: str, value: Any) -> None:
    story = story_of("subscribe")
    story["transactions"][2][name] = value
    with pytest.raises(InvalidInput, match=r"transactions\[2\]"):
        audit_file(story)


def test_a_transaction_that_is_there_twice_is_refused() -> None:
    story = story_of("subscribe")
    story["transactions"].append(story["transactions"][0])
    with pytest.raises(InvalidInput, match="twice"):
        audit_file(story)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"network":NaN}', '{"network":' + "9" * 5_000 + "}"]
)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidInput):
        audit_text(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
SUBSCRIBE = story_of("subscribe")


@given(JSON | st.fixed_dictionaries({"network": st.just("main"), "transactions": st.lists(JSON)}))
def test_any_document_is_audited_or_refused(document: object) -> None:
    try:
        report = audit_file(document)
    except InvalidInput:
        return
    assert report.project.id is None


@given(
    st.integers(0, len(SUBSCRIBE["transactions"]) - 1),
    st.sampled_from(["hex", "height", "time", "indexInBlock"]),
    JSON,
)
def test_any_value_in_any_transaction_is_audited_or_refused(
    number: int, name: str, value: object
) -> None:
    story = json.loads(json.dumps(SUBSCRIBE))
    story["transactions"][number][name] = value
    try:
        report = audit_file(story)
    except InvalidInput:
        return
    assert_adds_up(as_totals(report))

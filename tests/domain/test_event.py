"""Nostr events: id and signature are checked by us, and nothing crashes the parser."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign
from raised.domain.event import (
    Event,
    event_from_json,
    event_id,
    event_json,
    is_authentic,
    parse_event,
)
from raised.errors import InvalidInput

VECTORS = json.loads((vectors.ANGOR / "events.json").read_text())
GENUINE = [row["event"] for row in VECTORS["projectEvents"] + VECTORS["otherEvents"]]
TAMPERED = {"changed content", "bad signature"}

SECRET = bytes(31) + b"\x07"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
unsigned = st.builds(
    Event,
    id=st.just("00" * 32),
    pubkey=st.just(pubkey_from_secret(SECRET)[1:].hex()),
    created_at=st.integers(0, 1 << 40),
    kind=st.integers(0, 65535),
    tags=st.lists(st.lists(texts, max_size=3).map(tuple), max_size=3).map(tuple),
    content=texts,
    sig=st.just("00" * 64),
)
json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("fields", GENUINE, ids=lambda fields: str(fields["id"])[:8])
def test_a_genuine_event_is_authentic_until_anything_in_it_changes(fields: dict[str, Any]) -> None:
    event = event_from_json(fields)
    assert is_authentic(event)
    assert parse_event(event_json(event)) == event
    for other in (
        replace(event, content=event.content + " "),
        replace(event, created_at=event.created_at + 1),
        replace(event, kind=event.kind ^ 1),
        replace(event, tags=(*event.tags, ("x",))),
        replace(event, pubkey="11" * 32),
        replace(event, sig="00" * 64),
        replace(event, id="00" * 32),
    ):
        assert not is_authentic(other)


@pytest.mark.parametrize("row", VECTORS["invalid"], ids=lambda row: str(row["name"]))
def test_tampered_events_are_not_authentic_and_merely_wrong_ones_are(row: dict[str, Any]) -> None:
    """What else is wrong with the others is for the project's terms to say."""
    assert is_authentic(event_from_json(row["event"])) == (row["name"] not in TAMPERED)


@given(unsigned)
def test_what_is_signed_is_authentic_and_survives_json(event: Event) -> None:
    found = event_id(event)
    signed = replace(event, id=found, sig=schnorr_sign(bytes.fromhex(found), SECRET).hex())
    assert is_authentic(signed)
    assert parse_event(event_json(signed)) == signed


@given(json_values)
def test_any_json_is_an_event_or_a_clear_error(value: object) -> None:
    for candidate in (value, {**GENUINE[0], "tags": value}, {**GENUINE[0], "kind": value}):
        try:
            is_authentic(event_from_json(candidate))
        except InvalidInput:
            continue


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"id":1}', '"' + "x" * 100, b"\xff\xfe{}"]
)
def test_text_that_is_no_event_is_a_clear_error(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_event(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "AB" * 32),
        ("pubkey", "11" * 31),
        ("created_at", -1),
        ("created_at", 1.0),
        ("created_at", 1 << 70),
        ("kind", 65536),
        ("kind", True),
        ("tags", [["a", 1]]),
        ("tags", {"a": []}),
        ("content", None),
        ("sig", "00"),
    ],
)
def test_a_field_of_another_shape_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidInput):
        event_from_json({**GENUINE[0], key: value})


def test_text_without_utf8_is_not_authentic() -> None:
    event = replace(event_from_json(GENUINE[0]), content="\ud800")
    assert not is_authentic(event)


def test_tags_are_read_by_their_first_value() -> None:
    event = replace(event_from_json(GENUINE[0]), tags=(("e", "1", "x"), ("e",), ("p", "2")))
    assert event.tag_values("e") == ("1",)

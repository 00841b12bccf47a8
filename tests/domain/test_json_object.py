"""JSON of strangers: bounded, typed, and refused by the name of the field."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.json_object import JsonObject, as_object, hex_bytes, parse_object
from raised.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":NaN}',
        "[" * 50_000,
    ],
    ids=lambda text: str(text)[:16],
)
def test_a_text_that_is_no_plain_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_object(text)


def test_numbers_keep_their_digits() -> None:
    fields = parse_object('{"whole":7,"fraction":33.33,"exponent":1e400}')
    assert fields.decimal("whole") == 7
    assert str(fields.decimal("fraction")) == "33.33"
    assert fields.decimal("exponent") == Decimal("1e400")
    assert fields.decimal("absent") is None
    with pytest.raises(InvalidInput):
        fields.integer("fraction", 0, 100)


@pytest.mark.parametrize(
    "number",
    ["1" * 45, "0." + "1" * 45, "1e9999999999999999999", "-" + "9" * 100_000, "1E-9999999999"],
)
def test_a_number_of_any_length_spoils_nothing_unless_it_is_read(number: str) -> None:
    fields = parse_object(f'{{"unread":{number},"list":[{number}],"a":7}}')
    assert fields.integer("a", 0, 9) == 7
    for read in (fields.text, lambda name: fields.integer(name, 0, 9), fields.inner):
        with pytest.raises(InvalidInput, match="unread"):
            read("unread")
    with pytest.raises(InvalidInput):
        fields.objects("list", 9)


def test_a_long_number_is_read_with_all_its_digits() -> None:
    fields = parse_object('{"a":33.%s,"b":1e9999999999999999999}' % ("3" * 60))
    assert str(fields.decimal("a")) == "33." + "3" * 60
    with pytest.raises(InvalidInput, match="b is a number with too large an exponent"):
        fields.decimal("b")


def test_null_is_the_same_as_absent() -> None:
    fields = as_object({"a": None}, "it")
    assert fields.value("a") is None
    assert fields.optional_integer("a", 0, 1) is None
    assert fields.int32("a", 5) == 5
    assert fields.text("a") == ""
    assert fields.values("a", 0) == []
    assert fields.inner("a") is None
    with pytest.raises(InvalidInput, match="a is missing"):
        fields.integer("a", 0, 1)


def test_objects_within_are_asked_the_same_way() -> None:
    fields = as_object({"list": [{"a": 1}], "one": {"a": 2}}, "it")
    assert [object_.integer("a", 0, 9) for object_ in fields.objects("list", 1)] == [1]
    inner = fields.inner("one")
    assert inner is not None
    assert inner.integer("a", 0, 9) == 2
    with pytest.raises(InvalidInput):
        fields.objects("list", 0)


@pytest.mark.parametrize("text", ["0", "zz", "0 ", " 00", "000", "０" * 2, "00\n"])
def test_hex_is_only_hex_and_of_its_size(text: str) -> None:
    with pytest.raises(InvalidInput):
        hex_bytes(text, 1, "it")


@given(st.binary(max_size=40))
def test_hex_of_either_case_is_read(data: bytes) -> None:
    assert hex_bytes(data.hex(), len(data), "it") == data
    assert JsonObject({"a": data.hex().upper()}).hex_bytes("a", len(data)) == data


@given(st.text(max_size=60))
def test_any_text_is_an_object_or_refused(text: str) -> None:
    try:
        found = parse_object(text)
    except InvalidInput:
        return
    assert isinstance(found, JsonObject)

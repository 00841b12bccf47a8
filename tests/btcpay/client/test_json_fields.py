"""JSON that a server may send, read without surprises."""

from decimal import Decimal

import pytest

from raised.btcpay.client.json_fields import (
    UNREADABLE,
    ParsedRows,
    amount_text,
    boolean,
    identifier,
    optional_amount_text,
    parse_rows,
    read_json,
    short_text,
    timestamp,
)
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput


def test_numbers_with_a_fraction_are_exact() -> None:
    assert read_json(b"[0.1, 1e-8, 5]") == [Decimal("0.1"), Decimal("1e-8"), 5]


@pytest.mark.parametrize(
    "odd", [b"NaN", b"-Infinity", b"9" * 41, b"0." + b"1" * 41, b"1e99999999999999999999"]
)
def test_a_number_that_is_none_spoils_only_itself(odd: bytes) -> None:
    assert read_json(b'{"a":' + odd + b',"b":1}') == {"a": UNREADABLE, "b": 1}


def test_what_is_named_twice_is_not_believed() -> None:
    assert read_json(b'{"a":1,"b":2,"a":1}') == {"a": UNREADABLE, "b": 2}
    for read in (amount_text, timestamp, identifier, short_text, optional_amount_text):
        with pytest.raises(InvalidInput):
            read(JsonObject({"a": UNREADABLE}), "a")
    with pytest.raises(InvalidInput):
        boolean(JsonObject({"a": UNREADABLE}), "a", default=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>", b"\xff", b'"\xc3"', b"[" * 100_000, b'{"a":' * 100_000, b"\xef\xbb\xbf1",
     b"1 2", b"'1'", b"{1:2}", "[1]".encode("utf-16")],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_json(body)


def test_a_large_exponent_is_not_written_out() -> None:
    row = JsonObject({"small": Decimal("1e-20"), "huge": Decimal("1e999999999999999")})
    assert amount_text(row, "small") == "0.00000000000000000001"
    with pytest.raises(InvalidInput):
        amount_text(row, "huge")


def test_entries_that_cannot_be_read_are_counted() -> None:
    read = parse_rows([{"a": "x"}, None, {"a": 1}, {"a": "y"}], lambda row: row.text("a"))
    assert read == ParsedRows(("x", "y"), 2)
    wrong: list[object] = [None, {}, "[]", 0]
    for value in wrong:
        with pytest.raises(InvalidInput):
            parse_rows(value, lambda row: row)

"""Scripts: pushes, numbers, operations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.bitcoin.script import (
    OP_RETURN,
    is_p2tr,
    is_p2wpkh,
    is_p2wsh,
    number,
    p2tr,
    p2wpkh,
    p2wsh,
    parse_ops,
    push,
)
from raised.errors import InvalidInput


@pytest.mark.parametrize("size", [0, 1, 75, 76, 255, 256, 65535, 65536])
def test_a_push_is_as_short_as_it_can_be_and_is_read_back(size: int) -> None:
    data = bytes(size)
    script = push(data)
    ((opcode, found),) = parse_ops(script)
    assert found == data
    assert len(script) - size == (1 if size < 76 else 2 if size < 256 else 3 if size < 65536 else 5)
    assert opcode == script[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "00"),
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (-1, "0181"),
        (-128, "028080"),
        (1_759_276_800, "04006fdc68"),
        (2**31 - 1, "04ffffff7f"),
        (2**31, "050000008000"),
        (4_195_991, "03970640"),
    ],
)
def test_numbers_are_minimal(value: int, text: str) -> None:
    """Times from 2038 on take five bytes (docs/angor.md 8.2)."""
    assert number(value).hex() == text


@given(st.binary(max_size=300))
def test_any_bytes_are_operations_or_a_clear_error(script: bytes) -> None:
    try:
        ops = parse_ops(script)
    except InvalidInput:
        return
    assert sum(1 + len(data or b"") for _, data in ops) <= len(script)


@pytest.mark.parametrize("text", ["05", "4c", "4c05", "4d01", "4dffff00", "4e010000", "4effffffff"])
def test_a_push_past_the_end_is_an_error(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_ops(bytes.fromhex(text))


def test_operations_that_push_nothing_have_no_bytes() -> None:
    assert parse_ops(bytes([OP_RETURN, 0x51, 0])) == ((OP_RETURN, None), (0x51, None), (0, b""))


def test_each_output_form_knows_itself_alone() -> None:
    forms = {is_p2wpkh: p2wpkh(bytes(20)), is_p2wsh: p2wsh(b""), is_p2tr: p2tr(bytes(32))}
    for knows, own in forms.items():
        assert [knows(script) for script in forms.values()] == [
            script == own for script in forms.values()
        ]
        assert not knows(own + b"\x00")

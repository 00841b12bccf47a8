"""The opcodes of stage and penalty scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.script import number, push
from raised.domain.bitcoin.script_eval import Checks, run_script
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn
from raised.errors import InvalidInput

KEY = b"\x02" * 32
TIME = 1_800_000_000


def checks(*, version: int = 2, locktime: int = 0, sequence: int = 0) -> Checks:
    """A spend whose only good signature is `good` by KEY."""
    tx = Tx(version, (TxIn(OutPoint("11" * 32, 0), b"", sequence),), (), locktime)
    return Checks(tx, 0, 32, lambda signature, key: signature == b"good" and key == KEY)


def test_a_script_ends_with_one_true_element() -> None:
    assert run_script(b"\x51", (), checks())
    assert run_script(b"\x60", (), checks())
    assert run_script(b"", (b"\x01",), checks())
    for stack in ((), (b"",), (b"\x00\x00",), (b"\x00\x80",), (b"\x01", b"\x01")):
        assert not run_script(b"", stack, checks())


def test_a_signature_that_is_there_must_hold() -> None:
    checksig = push(KEY) + b"\xac"
    assert run_script(checksig, (b"good",), checks())
    assert not run_script(checksig, (b"bad",), checks())
    assert not run_script(checksig, (b"",), checks())
    assert not run_script(checksig, (), checks())
    assert not run_script(push(KEY[1:]) + b"\xac", (b"good",), checks())
    assert run_script(push(KEY) + b"\xad\x51", (b"good",), checks())
    assert not run_script(push(KEY) + b"\xad\x51", (b"",), checks())


def test_a_preimage_must_hash() -> None:
    script = b"\xaa" + push(sha256d(b"secret"))
    assert run_script(script + b"\x87", (b"secret",), checks())
    assert not run_script(script + b"\x87", (b"guess",), checks())
    assert run_script(script + b"\x88\x51", (b"secret",), checks())
    assert not run_script(script + b"\x88\x51", (b"guess",), checks())


@pytest.mark.parametrize(
    ("asked", "given_locktime", "sequence", "holds"),
    [
        (TIME, TIME, 0, True),
        (TIME, TIME + 1, 0xFFFFFFFE, True),
        (TIME, TIME - 1, 0, False),
        (TIME, TIME, 0xFFFFFFFF, False),
        (TIME, 499_999_999, 0, False),
        (100, 100, 0, True),
        (100, TIME, 0, False),
        (2**31 + 7, 2**31 + 7, 0, True),
        (-1, TIME, 0, False),
        (0, 0, 0, False),  # it holds, but leaves a false element
        (2**39, 2**32 - 1, 0, False),  # six bytes
    ],
)
def test_lock_times_bind(*, asked: int, given_locktime: int, sequence: int, holds: bool) -> None:
    spend = checks(locktime=given_locktime, sequence=sequence)
    assert run_script(number(asked) + b"\xb1", (), spend) is holds


@pytest.mark.parametrize(
    ("asked", "sequence", "version", "holds"),
    [
        (0x400697, 0x400697, 2, True),
        (0x400697, 0x400698, 2, True),
        (0x400697, 0x400696, 2, False),
        (0x400697, 0x400697, 1, False),
        (0x400697, 0x697, 2, False),
        (0x697, 0x400697, 2, False),
        (0x400697, 0x80400697, 2, False),
        (1 << 31, 0, 1, True),
    ],
)
def test_relative_locks_bind(*, asked: int, sequence: int, version: int, holds: bool) -> None:
    spend = checks(version=version, sequence=sequence)
    assert run_script(number(asked) + b"\xb2", (), spend) is holds


def test_other_opcodes_and_long_elements_are_refused() -> None:
    for opcode in (0x4F, 0x50, 0x61, 0x63, 0x69, 0x75, 0x76, 0xA8, 0xAB, 0xAE, 0xBA, 0xFF):
        assert not run_script(b"\x51" + bytes([opcode]), (b"\x01",), checks())
    assert not run_script(b"", (bytes(520) + b"\x01",), checks())
    assert run_script(b"", (bytes(519) + b"\x01",), checks())


@given(st.binary(max_size=60), st.lists(st.binary(max_size=40), max_size=5))
def test_any_script_ends_or_is_refused(script: bytes, stack: list[bytes]) -> None:
    try:
        assert run_script(script, tuple(stack), checks()) in (True, False)
    except InvalidInput:
        assert script

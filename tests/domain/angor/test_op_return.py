"""What stands behind OP_RETURN: every script of the vectors, and anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.op_return import (
    DynamicInfo,
    FoundingMark,
    InvestorMark,
    LegacyFoundingMark,
    begins_with_key,
    parse_founding_mark,
    parse_investor_mark,
)
from raised.domain.bitcoin.curve import is_point, pubkey_from_secret
from raised.domain.bitcoin.script import push
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
SCRIPTS: dict[str, Any] = json.loads((VECTORS / "op_return.json").read_text())
KEY = pubkey_from_secret(bytes(31) + b"\x07")


def of_kind(word: str) -> list[dict[str, Any]]:
    return [case for case in SCRIPTS["valid"] if case["kind"].startswith(word)]


@pytest.mark.parametrize("case", of_kind("founding"), ids=lambda case: str(case["kind"]))
def test_a_founding_mark_is_read(case: dict[str, Any]) -> None:
    mark = parse_founding_mark(bytes.fromhex(case["script"]))
    founder_key = bytes.fromhex(case["founderKey"])
    if case["kind"] == "founding-legacy":
        assert mark == LegacyFoundingMark(founder_key, case["nostrPubKey"])
    else:
        assert mark == FoundingMark(founder_key, case["keyType"], case["nostrEventId"])


@pytest.mark.parametrize("case", of_kind("investment"), ids=lambda case: str(case["kind"]))
def test_an_investor_mark_is_read(case: dict[str, Any]) -> None:
    mark = parse_investor_mark(bytes.fromhex(case["script"]))
    secret = case.get("secretHashBytes")
    dynamic = case["dynamic"]
    assert mark.investor_key.hex() == case["investorKey"]
    assert mark.secret_hash == (None if secret is None else bytes.fromhex(secret))
    if dynamic is None:
        assert mark.dynamic is None
    else:
        assert mark.dynamic == DynamicInfo(
            dynamic["startDate"], dynamic["patternId"], dynamic["stageCount"]
        )


@pytest.mark.parametrize("case", SCRIPTS["invalid"], ids=lambda case: str(case["reason"]))
def test_a_broken_script_names_its_reason(case: dict[str, Any]) -> None:
    """The choice about non-minimal pushes: they are read, for the coins decide."""
    script = bytes.fromhex(case["script"])
    assert parse_founding_mark(script) is None
    if case.get("strictness") == "optional":
        assert parse_investor_mark(script).secret_hash is None
        return
    expected = {
        "not a valid compressed key prefix": "bad_investor_key",
        "x coordinate not on the curve": "bad_investor_key",
    }
    with pytest.raises(InvalidInput) as caught:
        parse_investor_mark(script)
    assert caught.value.args == (expected.get(case["reason"], "bad_op_return"),)


def test_a_founding_mark_is_no_investor_mark_but_the_legacy_one_is() -> None:
    current, legacy = of_kind("founding")[0], of_kind("founding-legacy")[0]
    with pytest.raises(InvalidInput, match="bad_op_return"):
        parse_investor_mark(bytes.fromhex(current["script"]))
    assert parse_investor_mark(bytes.fromhex(legacy["script"])).secret_hash is not None


def test_a_founder_key_that_is_no_point_founds_nothing() -> None:
    script = b"\x6a" + push(b"\x02" + b"\xff" * 32) + push(b"\x01\x00") + push(bytes(32))
    assert parse_founding_mark(script) is None


@pytest.mark.parametrize("opcode", ["21", "4c21", "4d2100", "4e21000000"])
def test_a_key_push_is_seen_however_it_is_written_and_whatever_follows(opcode: str) -> None:
    script = bytes.fromhex("6a" + opcode) + KEY
    assert begins_with_key(script)
    assert begins_with_key(script + b"\x4e\xff")


@pytest.mark.parametrize("script", ["", "6a", "6a20" + "00" * 32, "21" + "00" * 33, "6a2100"])
def test_other_scripts_begin_with_no_key(script: str) -> None:
    assert not begins_with_key(bytes.fromhex(script))


@given(st.binary(max_size=140).map(lambda tail: b"\x6a" + tail) | st.binary(max_size=80))
def test_any_bytes_are_a_mark_or_refused(script: bytes) -> None:
    begins_with_key(script)
    founding = parse_founding_mark(script)
    if founding is not None:
        assert is_point(founding.founder_key)
    try:
        mark = parse_investor_mark(script)
    except InvalidInput as error:
        reason = error.args
    else:
        assert is_point(mark.investor_key)
        return
    assert reason in (("bad_op_return",), ("bad_investor_key",))


@given(
    st.none() | st.binary(min_size=32, max_size=32),
    st.none() | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 255)),
)
def test_an_investor_mark_survives_being_written(
    secret_hash: bytes | None, dynamic: tuple[int, int, int] | None
) -> None:
    script = b"\x6a" + push(KEY)
    info = None
    if secret_hash is not None:
        script += push(secret_hash)
    if dynamic is not None:
        days, pattern_id, stage_count = dynamic
        script += push(days.to_bytes(2, "little") + bytes([pattern_id, stage_count]))
        info = DynamicInfo(1_735_689_600 + days * 86_400, pattern_id, stage_count)
    assert parse_investor_mark(script) == InvestorMark(KEY, secret_hash, info)
    assert begins_with_key(script)


@given(st.binary(min_size=32, max_size=32), st.integers(-(1 << 15), (1 << 15) - 1))
def test_a_founding_mark_survives_being_written(event_id: bytes, key_type: int) -> None:
    number = key_type.to_bytes(2, "little", signed=True)
    script = b"\x6a" + push(KEY) + push(number) + push(event_id)
    assert parse_founding_mark(script) == FoundingMark(KEY, key_type, event_id.hex())
    legacy = b"\x6a" + push(KEY) + push(event_id)
    assert parse_founding_mark(legacy) == LegacyFoundingMark(KEY, event_id.hex())

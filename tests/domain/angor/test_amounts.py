"""Stage amounts to the sat: every case of the vectors, and real investments of three eras."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.amounts import (
    AMOUNT_SPLIT,
    FEE_AMOUNT,
    SPEND_ALL,
    amount_flags,
    equal_percents,
    fee,
    net_decimal,
    split,
    split_legacy,
)
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
AMOUNTS: dict[str, Any] = json.loads((VECTORS / "amounts.json").read_text())
GOLDEN: dict[str, Any] = json.loads((VECTORS / "reference_golden.json").read_text())["amounts"]
REAL: dict[str, Any] = json.loads((VECTORS / "real_transactions.json").read_text())
HALFWAY = AMOUNTS["halfwayCases"]["cases"]
CASES = [*AMOUNTS["cases"], *HALFWAY, *GOLDEN["cases"]]
TEN_THIRTY_SIXTY = (Decimal(10), Decimal(30), Decimal(60))
GROSS = st.integers(1, 21_000_000 * 100_000_000)
PERCENTS = st.lists(
    st.decimals(0, 100, allow_nan=False, places=3), min_size=1, max_size=8
) | st.integers(1, 60).map(equal_percents)


def percents_of(case: dict[str, Any]) -> tuple[Decimal, ...]:
    if "percentages" in case:
        return tuple(map(Decimal, case["percentages"]))
    return equal_percents(case["equalSplit"])


@pytest.mark.parametrize("case", CASES)
def test_an_amount_divides_as_the_vectors_say(case: dict[str, Any]) -> None:
    assert fee(case["gross"]) == case["fee"]
    net = case["gross"] - case["fee"]
    assert net == case.get("net", net)
    assert list(split(net, percents_of(case))) == case["stages"]
    assert min(case["stages"]) == case.get("minStage", min(case["stages"]))


@pytest.mark.parametrize("case", [case for case in CASES if "legacyFeeOnTop" in case])
def test_the_older_rule_divides_as_the_vectors_say(case: dict[str, Any]) -> None:
    legacy = case["legacyFeeOnTop"]
    stages = split_legacy(case["gross"], percents_of(case))
    assert list(stages) == legacy["stages"]
    assert sum(stages) == legacy["total"]
    assert fee(case["gross"]) == legacy["fee"]
    assert amount_flags(legacy["fee"], stages, percents_of(case)) == ()


@pytest.mark.parametrize("case", HALFWAY)
def test_exact_halves_follow_the_rounded_factor(case: dict[str, Any]) -> None:
    count = case["equalSplit"]
    assert split(case["net"], equal_percents(count))[0] == case["firstStage"]
    assert case["firstStage"] != case["firstStageIfExactFraction"]


@pytest.mark.parametrize("case", CASES)
def test_what_a_rule_made_is_never_flagged(case: dict[str, Any]) -> None:
    assert amount_flags(case["fee"], case["stages"], percents_of(case)) == ()


def test_real_investments_follow_the_rule_of_their_time() -> None:
    for entry in REAL["historic"]:
        if entry.get("rule") == "legacy_fee_on_top":
            fee_sats, _, *stages = (output["value"] for output in entry["outputs"][:-1])
            assert split_legacy(entry["gross"], TEN_THIRTY_SIXTY) == tuple(stages)
            assert amount_flags(fee_sats, stages, TEN_THIRTY_SIXTY) == ()
    stages = [9_900_000, 29_700_000, 59_400_000]
    assert amount_flags(1_000_000, stages, TEN_THIRTY_SIXTY) == ()


def test_another_split_is_flagged() -> None:
    stages = (2_673_000, 148_500, 148_500)
    assert amount_flags(30_000, stages, TEN_THIRTY_SIXTY) == (AMOUNT_SPLIT,)


def test_another_fee_is_flagged() -> None:
    stages = (297_000, 891_000, 1_782_000)
    assert amount_flags(1_000, stages, TEN_THIRTY_SIXTY) == (FEE_AMOUNT,)
    assert amount_flags(0, stages, TEN_THIRTY_SIXTY) == (FEE_AMOUNT,)


def test_both_can_be_wrong() -> None:
    assert amount_flags(7, (100_000, 1, 1), TEN_THIRTY_SIXTY) == (AMOUNT_SPLIT, FEE_AMOUNT)


def test_a_last_stage_that_paid_the_miner_is_named_as_that() -> None:
    *leading, last = split(9_900_000, TEN_THIRTY_SIXTY)
    assert amount_flags(100_000, (*leading, last - 742), TEN_THIRTY_SIXTY) == (SPEND_ALL,)
    assert SPEND_ALL not in amount_flags(100_000, (*leading, last + 742), TEN_THIRTY_SIXTY)


def test_stages_of_another_number_are_flagged_and_not_computed() -> None:
    assert amount_flags(0, (), TEN_THIRTY_SIXTY) == (AMOUNT_SPLIT,)
    assert amount_flags(0, (5, 5), ()) == (AMOUNT_SPLIT,)


def test_tiny_percentages_cost_no_search() -> None:
    percents = (Decimal("0.0000000001"),) * 3
    assert AMOUNT_SPLIT in amount_flags(1, (1, 1, 7), percents)


@pytest.mark.parametrize("text", ["-1", "-1e-400", "NaN", "Infinity", "1e400", "9e28"])
def test_numbers_that_the_clients_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        net_decimal(Decimal(text))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10.0", "10.0"),
        ("1e28", "1E+28"),
        ("33." + "3" * 60, "33.333333333333333333333333333"),
        ("66." + "6" * 60, "66.666666666666666666666666667"),
        ("0." + "0" * 27 + "25" + "0" * 60, "0.0000000000000000000000000002"),
        ("0." + "0" * 27 + "25" + "0" * 60 + "1", "0.0000000000000000000000000003"),
        ("0." + "0" * 27 + "35" + "0" * 60, "0.0000000000000000000000000004"),
        ("1e-400", "0E-28"),
        ("7.9228162514264337593543950335" + "4" * 60, "7.9228162514264337593543950335"),
        ("7.9228162514264337593543950335" + "6" * 60, "7.922816251426433759354395034"),
        ("1" + "0" * 5_000 + "e-4990", "10000000000"),
    ],
)
def test_numbers_of_many_digits_are_rounded_as_the_clients_round(text: str, read: str) -> None:
    assert net_decimal(Decimal(text)) == Decimal(read)


def test_no_stages_share_nothing() -> None:
    assert equal_percents(0) == ()
    assert split(5, ()) == ()


@given(GROSS, PERCENTS)
def test_the_current_rule_leaves_no_sat_out(gross: int, percents: list[Decimal]) -> None:
    net = gross - fee(gross)
    stages = split(net, percents)
    assert sum(stages) == net
    if all(stage >= 0 for stage in stages):
        assert amount_flags(fee(gross), stages, percents) == ()


@given(GROSS, st.integers(1, 60).map(equal_percents))
def test_the_older_rule_is_recognised_by_its_stages_alone(
    gross: int, percents: tuple[Decimal, ...]
) -> None:
    stages = split_legacy(gross, percents)
    assert AMOUNT_SPLIT not in amount_flags(fee(gross), stages, percents)

"""Penalty outputs."""

import json
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.penalty import (
    MAX_PENALTY_DAYS,
    matures_at,
    penalty_script,
    penalty_sequence,
    penalty_units,
    penalty_witness_script,
)
from raised.domain.bitcoin.bech32 import address
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
PENALTY: dict[str, Any] = json.loads((VECTORS / "penalty.json").read_text())
REAL: dict[str, Any] = json.loads((VECTORS / "real_transactions.json").read_text())["angornet"]


@pytest.mark.parametrize("case", PENALTY["cases"], ids=lambda case: str(case["penaltyDays"]))
def test_the_script_is_the_reference_one(case: dict[str, Any]) -> None:
    key, days = bytes.fromhex(case["investorKey"]), case["penaltyDays"]
    assert penalty_units(days) == case["units512"]
    assert penalty_sequence(days) == case["sequence"]
    assert penalty_witness_script(key, days).hex() == case["script"]
    script = penalty_script(key, days)
    assert script.hex() == case["scriptPubKey"]
    for prefix, expected in case["addresses"].items():
        assert address(prefix, script) == expected


def test_the_script_of_a_real_recovery_is_rebuilt() -> None:
    key = bytes.fromhex("03c33141e9af74927eb6aa5409069a23ddd465fed0323c37220acb48bf98b4e8c3")
    days = REAL["knownParameters"]["penaltyDays"]
    assert penalty_witness_script(key, days).hex() == REAL["penaltyScript"]["script"]
    assert penalty_script(key, days).hex() == REAL["penaltyScript"]["scriptPubKey"]
    assert penalty_sequence(days) == REAL["penaltyScript"]["sequence"]


@pytest.mark.parametrize("days", [-1, MAX_PENALTY_DAYS + 1, 10**6])
def test_days_that_no_lock_holds_are_refused(days: int) -> None:
    with pytest.raises(InvalidInput):
        penalty_script(bytes(33), days)


def test_the_longest_penalty_still_fits_the_lock() -> None:
    assert penalty_units(MAX_PENALTY_DAYS) <= 0xFFFF < (MAX_PENALTY_DAYS + 1) * 86400 // 512


def test_a_penalty_matures_by_median_time_past() -> None:
    assert matures_at(1_700_000_000, 0) == 1_700_000_000
    assert matures_at(1_700_000_000, 10) == 1_700_000_000 + 1687 * 512

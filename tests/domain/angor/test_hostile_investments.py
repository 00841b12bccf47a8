"""Transactions that strangers, or odd but honest clients, may make: what they are is never lost."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment import Investment, Reason, RejectedInvestment, recognise
from raised.domain.angor.network import network_named
from raised.domain.angor.penalty import penalty_script
from raised.domain.angor.spend import SpendKind, classify
from raised.domain.angor.stage_output import (
    NUMS_KEY,
    UNSPENDABLE_KEY,
    StageOutput,
    end_leaf,
    leaf_key,
    recover_leaf,
    seeder_leaves,
    stage_control_block,
    trunk,
)
from raised.domain.angor.terms import Terms, parse_terms
from raised.domain.bitcoin.curve import pubkey_from_secret
from raised.domain.bitcoin.script import OP_RETURN, p2tr, p2wpkh, push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut

VECTORS = vectors.ANGOR
EVENTS = json.loads((VECTORS / "events.json").read_text())["projectEvents"]

INVESTOR = pubkey_from_secret((99).to_bytes(32, "big"))
SECRET_HASH = b"\x33" * 32
ANGORNET = network_named("angornet")
NOW = 1_767_600_000
DAY = 86_400


def terms_of(name: str, **changes: object) -> Terms:
    content = next(event["event"]["content"] for event in EVENTS if event["name"] == name)
    return parse_terms(json.dumps({**json.loads(content), **changes}), NOW)


def flipped(key: bytes) -> bytes:
    return bytes([5 - key[0]]) + key[1:]


def invest(
    terms: Terms,
    releases: tuple[int, ...],
    expiry_at: int,
    *,
    key: bytes = INVESTOR,
    secret_hash: bytes | None = None,
    seeders: tuple[bytes, ...] = (),
    internal_key: bytes = UNSPENDABLE_KEY,
    info: bytes = b"",
    fee_sats: int = 1_000,
    value_sats: int = 10_000,
) -> Tx:
    investor, founder = leaf_key(key), leaf_key(terms.founder_key)
    recover = recover_leaf(leaf_key(terms.founder_recovery_key), investor, secret_hash)
    shared = trunk(recover, end_leaf(investor, expiry_at), seeders)
    mark = push(key) + (push(secret_hash) if secret_hash else b"") + (push(info) if info else b"")
    outputs = [
        TxOut(fee_sats, project_script(terms.project_id)),
        TxOut(0, bytes([OP_RETURN]) + mark),
        *(
            TxOut(value_sats, p2tr(shared.output_key(founder, release_at, internal_key)))
            for release_at in releases
        ),
        TxOut(5_000, p2wpkh(bytes(20))),
    ]
    return Tx(1, (TxIn(OutPoint("11" * 32, 0), b"", 0xFFFFFFFF),), tuple(outputs), 0)


def calendar(terms: Terms) -> tuple[int, ...]:
    return tuple(stage.release_at for stage in terms.stages)


def expiry(terms: Terms) -> int:
    assert terms.expiry_at is not None
    return terms.expiry_at


def recognised(terms: Terms, tx: Tx) -> Investment:
    found = recognise(terms, tx)
    assert isinstance(found, Investment), found
    return found


def test_a_seeder_with_the_founders_own_key_invests_and_founds_nothing() -> None:
    """It has the layout of a legacy founding and its key derives the identifier."""
    terms = terms_of("invest_basic")
    tx = invest(
        terms, calendar(terms), expiry(terms), key=terms.founder_key, secret_hash=SECRET_HASH
    )
    assert founding_of(tx, ANGORNET) is None
    assert recognised(terms, tx).seeder


def test_a_real_legacy_founding_still_founds() -> None:
    terms = terms_of("invest_basic")
    outputs = (
        TxOut(10_000, project_script(terms.project_id)),
        TxOut(0, bytes([OP_RETURN]) + push(terms.founder_key) + push(bytes(32))),
        TxOut(5_000, p2wpkh(bytes(20))),
    )
    tx = Tx(1, (TxIn(OutPoint("11" * 32, 0), b"", 0xFFFFFFFF),), outputs, 0)
    founding = founding_of(tx, ANGORNET)
    assert founding is not None
    assert founding.event_id is None


def test_founder_and_investor_may_be_the_same_key() -> None:
    """Their leaves differ in the date alone: the date names the spend."""
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms), key=terms.founder_key)
    found = recognised(terms, tx)
    stage = found.stages[0]
    assert classify(found, stage, spend(stage, stage.leaves.founder), 0).kind is SpendKind.CLAIM
    ended = classify(found, stage, spend(stage, stage.leaves.end), 0)
    assert ended.kind is SpendKind.END_OF_PROJECT


def spend(stage: StageOutput, script: bytes, *, annex: bytes | None = None) -> Tx:
    control = stage_control_block(stage.leaves, script, stage.internal_key)
    witness = (b"\x01" * 65, script, control) + (() if annex is None else (annex,))
    txin = TxIn(OutPoint("22" * 32, stage.vout), b"", 0xFFFFFFFE, witness)
    return Tx(2, (txin,), (TxOut(1, b""),), 0)


@pytest.mark.parametrize("annex", [b"\x50", b"\x50" * 10_000])
def test_an_annex_hides_nothing(annex: bytes) -> None:
    terms = terms_of("invest_basic")
    found = recognised(terms, invest(terms, calendar(terms), expiry(terms)))
    stage = found.stages[0]
    tx = spend(stage, stage.leaves.founder, annex=annex)
    assert classify(found, stage, tx, 0).kind is SpendKind.CLAIM
    by_key = tx.inputs[0]._replace(witness=(b"\x01" * 64, annex))
    assert classify(found, stage, Tx(2, (by_key,), (), 0), 0).kind is SpendKind.UNKNOWN


def test_the_parity_of_the_investor_key_leaves_the_stages_as_they_are() -> None:
    """Leaves hold x coordinates; only the penalty script holds the whole key, as it was named."""
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms))
    other = invest(terms, calendar(terms), expiry(terms), key=flipped(INVESTOR))
    assert [output.script_pubkey for output in tx.outputs[2:]] == [
        output.script_pubkey for output in other.outputs[2:]
    ]
    assert recognised(terms, tx).investor_key == INVESTOR
    assert recognised(terms, other).investor_key == flipped(INVESTOR)


@pytest.mark.parametrize("fee_sats", [0, 1, 99, 100])
def test_a_build_without_fee_is_counted_and_flagged(fee_sats: int) -> None:
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms), fee_sats=fee_sats)
    assert "fee_amount" in recognised(terms, tx).flags


@pytest.mark.parametrize("value_sats", [0, 1, 329])
def test_dust_is_counted_and_flagged(value_sats: int) -> None:
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms), fee_sats=0, value_sats=value_sats)
    assert "below_dust" in recognised(terms, tx).flags


def test_apps_that_drop_the_seeders_still_invest() -> None:
    terms = terms_of("invest_seeders")
    with_leaves = seeder_leaves(
        leaf_key(INVESTOR), terms.seeders.secret_hashes, terms.seeders.threshold
    )
    assert with_leaves
    for seeders in ((), with_leaves):
        tx = invest(terms, calendar(terms), expiry(terms), seeders=seeders)
        assert recognised(terms, tx).stages[0].leaves.seeders == seeders


@pytest.mark.parametrize("threshold", [-1, 0, 4, 1 << 30, -(1 << 31)])
def test_a_threshold_that_no_secrets_meet_makes_no_leaves(threshold: int) -> None:
    terms = terms_of(
        "invest_seeders",
        projectSeeders={
            "threshold": threshold,
            "secretHashes": ["ab" * 32] * 3,
        },
    )
    assert recognised(terms, invest(terms, calendar(terms), expiry(terms)))


def test_the_other_internal_key_is_tried_too() -> None:
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms), internal_key=NUMS_KEY)
    assert recognised(terms, tx).stages[0].internal_key == NUMS_KEY


def pattern(**changes: int) -> dict[str, Any]:
    monthly_on_the_first = {
        "patternId": 0,
        "name": "monthly",
        "frequency": 2,
        "stageCount": 2,
        "payoutDayType": 1,
        "payoutDay": 1,
    }
    return monthly_on_the_first | changes


def dyn(day: int, pattern_id: int, stages: int = 0) -> bytes:
    return day.to_bytes(2, "little") + bytes([pattern_id, stages])


# 2025-01-01 is day 0: stages on the first of January and February, or a month later.
FIRST, SECOND, THIRD = 1_735_689_600, 1_738_368_000, 1_740_787_200


def test_on_the_payout_day_itself_old_clients_began_a_month_later() -> None:
    terms = terms_of("fund_no_threshold", dynamicStagePatterns=[pattern()])
    for releases in ((FIRST, SECOND), (SECOND, THIRD)):
        tx = invest(terms, releases, expiry(terms), info=dyn(0, 0))
        assert tuple(stage.release_at for stage in recognised(terms, tx).stages) == releases


def test_a_pattern_may_be_named_by_its_place_in_the_list() -> None:
    """As before 2026-03-02, even where another pattern has that number as its id."""
    both = [pattern(patternId=1, stageCount=3), pattern(patternId=0)]
    terms = terms_of("fund_no_threshold", dynamicStagePatterns=both)
    by_place = invest(terms, (FIRST, SECOND), expiry(terms), info=dyn(0, 1))
    assert len(recognised(terms, by_place).stages) == 2
    by_id = invest(terms, (FIRST, SECOND, THIRD), expiry(terms), info=dyn(0, 1))
    assert len(recognised(terms, by_id).stages) == 3


def test_the_investor_may_ask_for_another_number_of_stages() -> None:
    terms = terms_of("fund_no_threshold", dynamicStagePatterns=[pattern(stageCount=24)])
    tx = invest(terms, (FIRST, SECOND, THIRD), expiry(terms), info=dyn(0, 0, 3))
    assert len(recognised(terms, tx).stages) == 3


@pytest.mark.parametrize(("gross", "is_free"), [(20_000, True), (20_001, False)])
def test_the_threshold_itself_is_not_above_the_threshold(gross: int, is_free: bool) -> None:
    start = NOW + 3_600 - NOW % 3_600
    patterns = [pattern()]
    terms = terms_of(
        "fund_threshold",
        startDate=start,
        penaltyThreshold=20_000,
        dynamicStagePatterns=patterns,
    )
    midnight = start - start % DAY
    rule = midnight if is_free else expiry(terms)
    fee = gross - 2 * 9_900
    tx = invest(terms, (FIRST, SECOND), rule, info=dyn(0, 0), fee_sats=fee, value_sats=9_900)
    assert recognised(terms, tx).stages[0].expiry_at == rule
    # Older clients wrote the start with its time of day, and either side of the threshold.
    for date in {midnight, start, expiry(terms)}:
        tx = invest(terms, (FIRST, SECOND), date, info=dyn(0, 0), fee_sats=fee, value_sats=9_900)
        assert recognised(terms, tx).stages[0].expiry_at == date


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_lock_times_of_five_bytes_are_minimal(shift: int) -> None:
    release_at = (1 << 31) + shift
    stages = [{"amountToRelease": 100, "releaseDate": release_at}]
    terms = terms_of("invest_basic", stages=stages, expiryDate=release_at + 10 * DAY)
    found = recognised(terms, invest(terms, (release_at,), release_at + 10 * DAY))
    size = 4 if release_at < 1 << 31 else 5
    assert found.stages[0].leaves.founder[34] == size


@pytest.mark.parametrize("release_at", [1 << 32, 253_402_300_799])
def test_dates_that_no_lock_time_holds_make_no_stage(release_at: int) -> None:
    stages = [{"amountToRelease": 100, "releaseDate": release_at}]
    terms = terms_of("invest_basic", stages=stages)
    found = recognise(terms, invest(terms, (1_800_000_000,), expiry(terms)))
    assert found == RejectedInvestment(found.txid, Reason.NOT_STAGE_SCRIPTS)


@pytest.mark.parametrize("outputs", [(), (TxOut(0, b""),), (TxOut(0, b""),) * 2])
def test_a_transaction_with_hardly_any_outputs_is_rejected(outputs: tuple[TxOut, ...]) -> None:
    tx = Tx(1, (TxIn(OutPoint("11" * 32, 0), b"", 0),), outputs, 0)
    found = recognise(terms_of("invest_basic"), tx)
    assert found == RejectedInvestment(tx.txid, Reason.NO_OP_RETURN)
    assert founding_of(tx, ANGORNET) is None


def test_stages_behind_the_last_one_are_change() -> None:
    terms = terms_of("invest_basic")
    tx = invest(terms, calendar(terms), expiry(terms))
    more = Tx(1, tx.inputs, (*tx.outputs, tx.outputs[2]), 0)
    assert recognised(terms, more).amount_sats == recognised(terms, tx).amount_sats


@pytest.mark.parametrize("days", [0, 10, 388])
def test_a_penalty_is_that_of_the_very_key_that_was_named(days: int) -> None:
    """The penalty script holds the whole key: one of the other parity is another output."""
    terms = terms_of("invest_basic", penaltyDays=days)
    found = recognised(terms, invest(terms, calendar(terms), expiry(terms)))
    stage = found.stages[1]
    tx = spend(stage, stage.leaves.recover)
    for key, kind in (
        (INVESTOR, SpendKind.RECOVERY),
        (flipped(INVESTOR), SpendKind.UNFUNDED_RELEASE),
    ):
        moved = replace(tx, outputs=(TxOut(1, penalty_script(key, days)),))
        assert classify(found, stage, moved, 0).kind is kind
    # Beside another input it belongs to that one.
    shifted = replace(moved, outputs=(TxOut(1, b""), TxOut(1, penalty_script(INVESTOR, days))))
    assert classify(found, stage, shifted, 0).kind is SpendKind.UNFUNDED_RELEASE


@pytest.mark.parametrize("days", [389, 10_000, (1 << 31) - 1])
def test_a_penalty_longer_than_any_lock_makes_no_penalty(days: int) -> None:
    terms = terms_of("invest_basic", penaltyDays=days)
    found = recognised(terms, invest(terms, calendar(terms), expiry(terms)))
    stage = found.stages[0]
    kind = classify(found, stage, spend(stage, stage.leaves.recover), 0).kind
    assert kind is SpendKind.UNFUNDED_RELEASE

"""Recognising investments: every vector, and everything that must not pass."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.investment import Investment, Reason, RejectedInvestment, recognise
from raised.domain.angor.stage_output import NUMS_KEY, UNSPENDABLE_KEY
from raised.domain.angor.terms import Terms, parse_terms
from raised.domain.bitcoin.script import push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx

ANGOR = vectors.ANGOR
STAGES: dict[str, Any] = json.loads((ANGOR / "stage_scripts.json").read_text())
GOLDEN: dict[str, Any] = json.loads((ANGOR / "reference_golden.json").read_text())
SCENARIOS = ("invest", "seeders", "fund", "subscribe")
REJECTED = {
    "front_run_founding": "bad_op_return",
    "founding": "bad_op_return",
    "founding_again": "bad_op_return",
    "lookalike_random_taproot": "not_stage_scripts",
    "lookalike_swapped_stages": "not_stage_scripts",
    "lookalike_missing_stage": "missing_stage",
    "donation": "no_op_return",
    "fee_to_other_address": "wrong_fee_output",
    "op_return_not_second": "no_op_return",
    "lookalike_bad_op_return": "bad_op_return",
    "unknown_pattern": "bad_dynamic_info",
    "no_dynamic_info": "bad_dynamic_info",
}


def story_of(name: str) -> dict[str, Any]:
    story: dict[str, Any] = json.loads((ANGOR / f"scenario_{name}.json").read_text())
    return story


def terms_of(story: dict[str, Any]) -> Terms:
    event = story["projectEvent"]
    return parse_terms(event["content"], event["created_at"])


def project_named(name: str) -> dict[str, Any]:
    project: dict[str, Any] = next(stage for stage in STAGES["projects"] if stage["name"] == name)
    return project


def terms_from(info: dict[str, Any]) -> Terms:
    return parse_terms(json.dumps(info), 1_767_600_000)


def tx_with(outputs: list[TxOut]) -> Tx:
    return Tx(1, (TxIn(OutPoint("11" * 32, 0), b"", 0xFFFFFFFF),), tuple(outputs), 0)


def outputs_of(vector: dict[str, Any]) -> list[TxOut]:
    return [
        TxOut(output["value"], bytes.fromhex(output["scriptPubKey"]))
        for output in vector["outputs"]
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_investment_of_a_scenario_is_recognised(name: str) -> None:
    story = story_of(name)
    terms = terms_of(story)
    txs = {
        transaction["txid"]: parse_tx(bytes.fromhex(transaction["hex"]))
        for transaction in story["transactions"]
    }
    for expected in story["expected"]["investments"]:
        found = recognise(terms, txs[expected["txid"]])
        assert isinstance(found, Investment), expected["label"]
        assert found.txid == expected["txid"]
        assert found.project_id == story["projectInfo"]["projectIdentifier"]
        assert found.investor_key.hex() == expected["investorKey"]
        assert (found.secret_hash.hex() if found.secret_hash else None) == expected[
            "secretHashBytes"
        ]
        assert found.seeder is (expected["secretHashBytes"] is not None)
        assert found.fee_sats == expected["feePaid"]
        assert found.amount_sats == expected["inStages"]
        assert list(found.flags) == expected["flags"], expected["label"]
        assert found.penalty_days == story["projectInfo"]["penaltyDays"]
        assert [
            {
                "stageIndex": stage.index,
                "vout": stage.vout,
                "value": stage.value_sats,
                "releaseDate": stage.release_at,
                "expiryDate": stage.expiry_at,
                "scriptPubKey": stage.script_pubkey.hex(),
            }
            for stage in found.stages
        ] == [{key: stage[key] for key in stage if key != "spent"} for stage in expected["stages"]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_everything_else_in_a_scenario_is_rejected_with_its_reason(name: str) -> None:
    story = story_of(name)
    terms = terms_of(story)
    for entry in story["transactions"]:
        found = recognise(terms, parse_tx(bytes.fromhex(entry["hex"])))
        if entry["expected"]["type"] == "investment":
            assert isinstance(found, Investment)
            continue
        reason = REJECTED.get(entry["label"], "no_op_return")
        assert found == RejectedInvestment(entry["txid"], Reason(reason)), entry["label"]


@pytest.mark.parametrize("project", STAGES["projects"], ids=lambda vector: vector["name"])
def test_every_investment_of_every_project_is_recognised(project: dict[str, Any]) -> None:
    terms = terms_from(project["projectInfo"])
    for vector in project["investments"]:
        found = recognise(terms, tx_with(outputs_of(vector)))
        assert isinstance(found, Investment)
        assert found.flags == ()
        assert found.amount_sats == vector["net"]
        assert found.amount_sats + found.fee_sats == vector["gross"]
        assert [stage.release_at for stage in found.stages] == [
            stage["releaseDate"] for stage in vector["stages"]
        ]
        for stage, expected in zip(found.stages, vector["stages"], strict=True):
            assert stage.expiry_at == vector["effectiveExpiry"]
            assert stage.leaves.founder.hex() == expected["leaves"]["founder"]
            assert stage.leaves.recover.hex() == expected["leaves"]["recover"]
            assert stage.leaves.end.hex() == expected["leaves"]["endOfProject"]
            seeders = [leaf.hex() for leaf in stage.leaves.seeders]
            assert seeders == expected["leaves"]["seeders"]
            assert stage.internal_key == UNSPENDABLE_KEY


def test_the_dormant_internal_key_is_tried_last() -> None:
    project = project_named("invest_basic")
    vector = project["investments"][0]
    outputs = outputs_of(vector)
    for at, script in enumerate(vector["dormantVersion3"]["scriptPubKeys"]):
        outputs[2 + at] = outputs[2 + at]._replace(script_pubkey=bytes.fromhex(script))
    found = recognise(terms_from(project["projectInfo"]), tx_with(outputs))
    assert isinstance(found, Investment)
    assert {stage.internal_key for stage in found.stages} == {NUMS_KEY}


def test_the_fixed_transactions_of_the_reference_are_investments() -> None:
    """Three seeders, and two investors with seeder leaves; from 2023, the fee on top."""
    golden = GOLDEN["founderSpendFixedData"]
    basic = terms_from(project_named("invest_basic")["projectInfo"])
    releases = [stage["releaseDate"] for stage in golden["transactions"][0]["stages"]]
    terms = replace(
        basic,
        founder_key=bytes.fromhex(golden["founderKey"]),
        founder_recovery_key=bytes.fromhex(golden["founderRecoveryKey"]),
        project_id=golden["legacyAngorId"],
        expiry_at=golden["expiryDate"],
        stages=tuple(
            replace(stage, release_at=release_at)
            for stage, release_at in zip(basic.stages, releases, strict=True)
        ),
        seeders=replace(
            basic.seeders,
            threshold=golden["seeders"]["threshold"],
            secret_hashes=tuple(
                bytes.fromhex(secret_hash)[::-1]
                for secret_hash in golden["seeders"]["secretHashes"]
            ),
        ),
    )
    for fixed in golden["transactions"]:
        # As written it has no inputs, which no node would take: one is put in.
        raw = bytes.fromhex(fixed["hexAsWritten"])
        tx = parse_tx(raw[:4] + b"\x01" + bytes(36) + b"\x00" + bytes(4) + raw[5:])
        found = recognise(terms, tx)
        assert isinstance(found, Investment)
        assert found.investor_key.hex() == fixed["investorKey"]
        assert found.seeder is fixed["isSeeder"]
        assert [stage.script_pubkey.hex() for stage in found.stages] == [
            stage["scriptPubKey"] for stage in fixed["stages"]
        ]


BASIC = project_named("invest_basic")
BASIC_TERMS = terms_from(BASIC["projectInfo"])
BASIC_OUTPUTS = outputs_of(BASIC["investments"][0])


def reason_of(terms: Terms, outputs: list[TxOut]) -> str:
    found = recognise(terms, tx_with(outputs))
    assert isinstance(found, RejectedInvestment)
    return found.reason.value


def flags_of(values: list[int], fee: int) -> tuple[str, ...]:
    """The flags of the basic investment with other amounts."""
    scripts = [output.script_pubkey for output in BASIC_OUTPUTS]
    found = recognise(BASIC_TERMS, tx_with([*map(TxOut, (fee, 0, *values), scripts)]))
    assert isinstance(found, Investment)
    return found.flags


@given(st.data())
def test_an_investment_with_another_byte_in_a_script_is_none(data: st.DataObject) -> None:
    """The parity of the investor's key alone is free: leaves hold x coordinates."""
    which = data.draw(st.integers(0, 4))
    script = BASIC_OUTPUTS[which].script_pubkey
    at = data.draw(st.integers(0, len(script) - 1))
    flipped = bytes([script[at] ^ data.draw(st.integers(1, 255))])
    outputs = list(BASIC_OUTPUTS)
    other = script[:at] + flipped + script[at + 1 :]
    outputs[which] = outputs[which]._replace(script_pubkey=other)
    found = recognise(BASIC_TERMS, tx_with(outputs))
    if isinstance(found, Investment):
        assert (which, at) == (1, 2)
        assert flipped in (b"\x02", b"\x03")


@given(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), st.integers(0, 10**7))
def test_amounts_never_decide(values: list[int], fee: int) -> None:
    assert set(flags_of(values, fee)) <= {"amount_split", "fee_amount", "spend_all", "below_dust"}


@given(st.integers(33_333, 10**12))
def test_an_honest_split_has_no_flags(gross: int) -> None:
    fee = gross // 100
    net = gross - fee
    first, second = _half_even(net * 10, 100), _half_even(net * 30, 100)
    assert flags_of([first, second, net - first - second], fee) == ()


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def test_what_is_odd_is_flagged() -> None:
    assert flags_of([990_000, 2_970_000, 5_940_000], 100_000) == ()
    assert flags_of([990_001, 2_969_999, 5_940_000], 100_000) == ("amount_split",)
    assert flags_of([990_000, 2_970_000, 5_940_000], 98_000) == ("fee_amount",)
    assert flags_of([990_000, 2_970_000, 5_939_500], 100_000) == ("spend_all",)
    assert flags_of([1_000_000, 3_000_000, 6_000_000], 100_000) == ()
    assert "below_dust" in flags_of([329, 987, 1974], 33)


def test_reasons_are_asked_in_order() -> None:
    fee, mark, *stages = BASIC_OUTPUTS
    other = fee._replace(script_pubkey=b"\x00\x14" + bytes(20))
    key = mark.script_pubkey[2:]
    assert reason_of(BASIC_TERMS, []) == "no_op_return"
    assert reason_of(BASIC_TERMS, [other]) == "no_op_return"
    assert reason_of(BASIC_TERMS, [other, stages[0], mark]) == "no_op_return"
    for script in (b"\x6a", b"\x6a\x21", b"\x6a" + push(key) + push(b"123"), b"\x6a\x51"):
        outputs = [other, mark._replace(script_pubkey=script)]
        assert reason_of(BASIC_TERMS, outputs) == "bad_op_return"
    no_point = b"\x6a\x21\x02" + b"\xff" * 32
    outputs = [other, mark._replace(script_pubkey=no_point)]
    assert reason_of(BASIC_TERMS, outputs) == "bad_investor_key"
    dynamic = mark._replace(script_pubkey=mark.script_pubkey + push(bytes(4)))
    assert reason_of(BASIC_TERMS, [other, dynamic]) == "wrong_fee_output"
    assert reason_of(BASIC_TERMS, [fee, dynamic, *stages]) == "bad_dynamic_info"
    assert reason_of(BASIC_TERMS, [fee, mark]) == "missing_stage"
    assert reason_of(BASIC_TERMS, [fee, mark, *stages[:2]]) == "missing_stage"
    assert reason_of(BASIC_TERMS, [fee, mark, *stages[:2], other]) == "missing_stage"
    assert reason_of(BASIC_TERMS, [fee, mark, *stages[:2], stages[0]]) == "not_stage_scripts"
    assert reason_of(BASIC_TERMS, [fee, mark, *reversed(stages)]) == "not_stage_scripts"
    burned = stages[0]._replace(script_pubkey=b"\x51\x20" + bytes(32))
    assert reason_of(BASIC_TERMS, [fee, mark, burned, burned, burned]) == "burned_outputs"
    assert reason_of(BASIC_TERMS, [fee, mark, *stages[:2], burned]) == "burned_outputs"


def test_change_behind_the_stages_is_nobodys_stage() -> None:
    change = BASIC_OUTPUTS[2]._replace(value=77)
    found = recognise(BASIC_TERMS, tx_with([*BASIC_OUTPUTS, change]))
    assert isinstance(found, Investment)
    assert found.amount_sats == BASIC["investments"][0]["net"]


def test_a_project_without_stages_has_no_investments() -> None:
    terms = replace(BASIC_TERMS, stages=())
    assert reason_of(terms, BASIC_OUTPUTS) == "missing_stage"
    assert reason_of(terms, BASIC_OUTPUTS[:2]) == "missing_stage"


def test_apps_that_drop_the_seeders_of_a_project_are_followed() -> None:
    """The desktop and mobile apps build no seeder leaves even where the project has seeders."""
    listed = project_named("invest_seeders")["projectInfo"]["projectSeeders"]
    hashes = tuple(bytes.fromhex(secret_hash)[::-1] for secret_hash in listed["secretHashes"])
    seeders = replace(BASIC_TERMS.seeders, threshold=2, secret_hashes=hashes)
    found = recognise(replace(BASIC_TERMS, seeders=seeders), tx_with(BASIC_OUTPUTS))
    assert isinstance(found, Investment)
    assert all(stage.leaves.seeders == () for stage in found.stages)


@pytest.mark.parametrize(("count", "threshold"), [(10_000, 1), (20_000, 10_000), (9_000, 8_999)])
def test_hostile_seeder_lists_cost_little(*, count: int, threshold: int) -> None:
    seeders = replace(BASIC_TERMS.seeders, threshold=threshold, secret_hashes=(bytes(32),) * count)
    terms = replace(BASIC_TERMS, seeders=seeders)
    assert isinstance(recognise(terms, tx_with(BASIC_OUTPUTS)), Investment)


FUND = project_named("fund_threshold")
FUND_TERMS = terms_from(FUND["projectInfo"])


def test_hostile_stage_counts_cost_little() -> None:
    patterns = tuple(replace(pattern, stage_count=2**31 - 1) for pattern in FUND_TERMS.patterns)
    terms = replace(FUND_TERMS, patterns=patterns)
    outputs = outputs_of(FUND["investments"][0])
    assert reason_of(terms, outputs) == "missing_stage"
    for count in (0, -1):
        none = tuple(replace(pattern, stage_count=count) for pattern in FUND_TERMS.patterns)
        assert reason_of(replace(FUND_TERMS, patterns=none), outputs) in (
            "missing_stage",
            "bad_dynamic_info",
        )


def fund_investment(at: int, *, mark: bytes | None = None) -> list[TxOut]:
    """An investment of the fund; with another OP_RETURN its scripts are those of no calendar."""
    outputs = outputs_of(FUND["investments"][at])
    if mark is not None:
        outputs[1] = outputs[1]._replace(script_pubkey=outputs[1].script_pubkey[:-4] + mark)
    return outputs


def test_a_pattern_taken_by_its_place_is_found() -> None:
    """Listed as ids 7, 0, 2: an older client wrote 1 for the second, which has id 0."""
    by_id, by_place = fund_investment(2), fund_investment(2, mark=bytes.fromhex("8b010100"))
    for outputs in (by_id, by_place):
        found = recognise(FUND_TERMS, tx_with(outputs))
        assert isinstance(found, Investment)
        assert len(found.stages) == 3
    by_place[2] = by_place[3]
    assert reason_of(FUND_TERMS, by_place) == "bad_dynamic_info"


def test_a_start_on_the_payout_day_may_have_begun_a_month_later() -> None:
    """The third investment starts on 2026-01-31; on the first of a month older clients waited."""
    found = recognise(FUND_TERMS, tx_with(fund_investment(2)))
    assert isinstance(found, Investment)
    first_of_january = (365).to_bytes(2, "little") + b"\x00\x00"
    on_the_day = recognise(FUND_TERMS, tx_with(fund_investment(2, mark=first_of_january)))
    assert isinstance(on_the_day, Investment)
    assert on_the_day.stages[0].release_at == found.stages[0].release_at == 1_769_904_000


def test_an_unknown_second_of_the_day_is_said_to_be_unverifiable() -> None:
    """Until 2026-03-02 days were counted from the very second of investing."""
    another_day = bytes.fromhex("81010700")
    assert reason_of(FUND_TERMS, fund_investment(0, mark=another_day)) == "legacy_unverifiable"
    later = (500).to_bytes(2, "little") + b"\x07\x00"
    assert reason_of(FUND_TERMS, fund_investment(0, mark=later)) == "not_stage_scripts"
    uneven = fund_investment(0, mark=another_day)
    uneven[2] = uneven[2]._replace(value=uneven[2].value + 500)
    assert reason_of(FUND_TERMS, uneven) == "not_stage_scripts"
    weekday = fund_investment(1, mark=bytes.fromhex("81010200"))
    assert reason_of(FUND_TERMS, weekday) == "not_stage_scripts"


def test_a_calendar_that_no_client_knows_has_no_investments() -> None:
    patterns = tuple(replace(pattern, frequency=None) for pattern in FUND_TERMS.patterns)
    terms = replace(FUND_TERMS, patterns=patterns)
    assert reason_of(terms, fund_investment(1)) == "not_stage_scripts"


EVERY_TERMS = [terms_from(project["projectInfo"]) for project in STAGES["projects"]]
EVERY_OUTPUT = [
    output
    for project in STAGES["projects"]
    for vector in project["investments"]
    for output in outputs_of(vector)
]
KEY = bytes.fromhex(BASIC["investments"][0]["investorKey"])
marks = st.builds(
    lambda key, rest: TxOut(0, b"\x6a" + push(key) + b"".join(map(push, rest))),
    st.just(KEY) | st.binary(min_size=33, max_size=33),
    st.lists(st.binary(max_size=4) | st.binary(min_size=32, max_size=32), max_size=3),
)
any_output = st.sampled_from(EVERY_OUTPUT) | st.builds(
    TxOut, st.integers(0, 21 * 10**14), st.binary(max_size=40)
)


@given(
    st.sampled_from(EVERY_TERMS),
    st.lists(any_output, max_size=1),
    st.lists(marks | any_output, max_size=1),
    st.lists(any_output, max_size=8),
)
def test_any_transaction_is_an_investment_or_has_a_reason(
    terms: Terms, fee: list[TxOut], mark: list[TxOut], rest: list[TxOut]
) -> None:
    tx = tx_with([*fee, *mark, *rest])
    found = recognise(terms, tx)
    assert found.txid == tx.txid
    if isinstance(found, Investment):
        assert found.stages
        assert found.project_id == terms.project_id

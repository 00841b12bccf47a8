"""Scenarios with one thing changed: missing, early, late or forged."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.audit.case_file import audit_file
from raised.domain.audit.report import AuditReport, as_json
from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.domain.event import Event, event_id, event_json
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
Story = dict[str, Any]


def story_of(name: str) -> Story:
    story: Story = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    return story


def entry_of(story: Story, label: str) -> Story:
    entry: Story = next(
        transaction for transaction in story["transactions"] if transaction["label"] == label
    )
    return entry


def txid_of(story: Story, label: str) -> str:
    return str(entry_of(story, label)["txid"])


def without(story: Story, *labels: str) -> None:
    story["transactions"] = [
        transaction for transaction in story["transactions"] if transaction["label"] not in labels
    ]


def edit(entry: Story, change: Callable[[Tx], Tx]) -> None:
    entry["hex"] = change(parse_tx(bytes.fromhex(entry["hex"]))).serialize().hex()


def audited(story: Story) -> dict[str, Any]:
    report: dict[str, Any] = as_json(audit_file(story))
    return report


def standing(report: dict[str, Any], txid: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        investment for investment in report["investments"] if investment["txid"] == txid
    )
    return found


def role(report: dict[str, Any], txid: str) -> tuple[str, str | None]:
    found = next(
        transaction for transaction in report["transactions"] if transaction["txid"] == txid
    )
    return found["role"], found["reason"]


def assert_adds_up(totals: dict[str, int]) -> None:
    parts = (
        "claimed",
        "recovery",
        "unfunded_release",
        "penalty_free_recovery",
        "end_of_project",
        "unknown",
        "locked",
    )
    assert totals["raised_sats"] == sum(totals[f"{part}_sats"] for part in parts)
    assert totals["recovery_sats"] == totals["in_penalty_sats"] + totals["penalty_released_sats"]
    assert all(value >= 0 for value in totals.values())


def as_totals(report: AuditReport) -> dict[str, int]:
    totals = as_json(report)["totals"]
    assert isinstance(totals, dict)
    return totals


def test_an_unconfirmed_claim_is_named_but_counts_for_nothing_yet() -> None:
    story = story_of("invest")
    report = audited(story)
    invested = txid_of(story, "invest_C_fee_on_top")
    stage = standing(report, invested)["stages"][2]
    assert stage["state"] == "claim"
    assert stage["spent_txid"] == txid_of(story, "claim_C_stage3_unconfirmed")
    assert stage["spent_height"] is None


def test_without_its_event_a_project_is_missing_it_and_nothing_is_counted() -> None:
    story = story_of("invest")
    del story["projectEvent"]
    report = audit_file(story)
    shown = as_json(report)
    assert report.project.status == "event_missing"
    assert report.project.id == story["projectInfo"]["projectIdentifier"]
    assert report.exit_code == 2
    assert {investment.status for investment in report.investments} == {"unverified"}
    assert report.totals.raised_sats == report.totals.unconfirmed_sats == 0
    assert role(shown, txid_of(story, "invest_A")) == ("investment", None)
    assert role(shown, txid_of(story, "donation")) == ("unrelated", None)
    assert role(shown, txid_of(story, "lookalike_bad_op_return")) == ("rejected", "bad_op_return")


def test_a_tampered_event_is_no_event() -> None:
    story = story_of("invest")
    story["projectEvent"]["content"] = story["projectEvent"]["content"].replace(
        '"penaltyDays":30', '"penaltyDays":31'
    )
    report = audit_file(story)
    assert report.project.status == "event_missing"
    assert report.exit_code == 2


def signed(content: str, secret: bytes = sha256(b"a stranger")) -> dict[str, Any]:
    draft = Event("", pubkey_from_secret(secret)[1:].hex(), 1_767_600_000, 3030, (), content, "")
    identified = replace(draft, id=event_id(draft))
    sig = schnorr_sign(bytes.fromhex(identified.id), secret).hex()
    event: dict[str, Any] = json.loads(event_json(replace(identified, sig=sig)))
    return event


def test_an_event_that_was_not_committed_is_rejected_for_that() -> None:
    story = story_of("invest")
    content = json.loads(story["projectEvent"]["content"])
    content["nostrPubKey"] = signed("")["pubkey"]
    story["projectEvent"] = signed(json.dumps(content))
    report = audit_file(story)
    assert (report.project.status, report.project.reason) == ("rejected", "other_event_committed")
    assert report.founding.chosen is not None
    assert report.exit_code == 2
    assert report.totals.raised_sats == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("signed by a key other than nostrPubKey", "not_author"),
        ("founder key of another project", "not_founder_key"),
        ("content is not JSON", "bad_terms"),
        ("ISO date string", "bad_terms"),
    ],
)
def test_a_bad_event_is_rejected_for_what_is_bad(name: str, reason: str) -> None:
    events = json.loads((VECTORS / "events.json").read_text())["invalid"]
    story = story_of("invest")
    story["projectEvent"] = next(event["event"] for event in events if event["name"] == name)
    report = audit_file(story)
    assert (report.project.status, report.project.reason) == ("rejected", reason)
    assert report.exit_code == 2


def test_on_another_network_nothing_fits() -> None:
    story = story_of("invest")
    story["network"] = "main"
    report = audit_file(story)
    assert (report.project.status, report.project.reason) == ("rejected", "wrong_network")
    assert report.founding.chosen is None
    assert report.investments != ()


def test_without_a_founding_transaction_it_is_only_announced() -> None:
    story = story_of("invest")
    without(story, "founding", "founding_again")
    report = audit_file(story)
    assert report.project.status == "announced"
    assert report.exit_code == 2
    assert report.totals.investments == 0
    assert report.totals.unconfirmed_sats == sum(
        investment.amount_sats for investment in report.investments
    )


def test_an_unconfirmed_founding_commits_but_does_not_confirm() -> None:
    story = story_of("subscribe")
    entry_of(story, "founding").update(height=None, indexInBlock=None)
    report = audit_file(story)
    assert report.project.status == "committed"
    assert report.founding.chosen is not None
    assert report.founding.height is None
    assert report.totals.raised_sats == 0
    assert report.totals.unconfirmed_sats == 3_564_000


def test_when_the_first_founding_goes_the_next_one_decides() -> None:
    """The second founding of the scenario names another event: that of a copycat."""
    story = story_of("invest")
    without(story, "founding")
    report = audit_file(story)
    assert report.founding.chosen is not None
    assert report.founding.chosen.txid == txid_of(story, "founding_again")


def test_an_unconfirmed_founding_never_comes_before_a_confirmed_one() -> None:
    story = story_of("invest")
    entry_of(story, "founding").update(height=None, indexInBlock=None, time=0)
    shown = audited(story)
    assert role(shown, txid_of(story, "founding_again"))[0] == "founding"
    assert role(shown, txid_of(story, "founding")) == ("founding_duplicate", "unconfirmed")


def test_a_later_founding_that_names_another_event_is_flagged() -> None:
    story = story_of("subscribe")
    entry = dict(entry_of(story, "founding"), height=800_001)

    def renamed(tx: Tx) -> Tx:
        mark = tx.outputs[1].script_pubkey[:-32] + bytes(32)
        return replace(tx, outputs=(tx.outputs[0], TxOut(0, mark), *tx.outputs[2:]))

    edit(entry, lambda tx: replace(renamed(tx), inputs=(other_input(tx),)))
    story["transactions"].append(entry)
    report = audit_file(story)
    assert report.project.status == "confirmed"
    assert report.project.flags == ("conflict",)
    assert report.exit_code == 0


def other_input(tx: Tx) -> TxIn:
    return tx.inputs[0]._replace(outpoint=OutPoint("cc" * 32, 0))


def test_dates_and_places_that_are_odd_are_flagged_and_counted() -> None:
    story = story_of("invest")
    entry_of(story, "invest_A")["time"] = 1_770_249_601
    entry_of(story, "invest_B").update(height=499_998, time=1_767_571_199)
    report = audited(story)
    assert standing(report, txid_of(story, "invest_A"))["flags"] == ["outside_window"]
    assert standing(report, txid_of(story, "invest_B"))["flags"] == [
        "outside_window",
        "before_founding",
    ]
    assert report["totals"]["raised_sats"] == audited(story_of("invest"))["totals"]["raised_sats"]


def test_money_that_comes_from_a_claim_is_flagged_within_three_hops() -> None:
    story = story_of("invest")
    claim = txid_of(story, "claim_stage1")
    invested = entry_of(story, "invest_D_taproot_change")
    without(story, "recovery_D_stage2")

    def paid_by(outpoint: OutPoint, tx: Tx) -> Tx:
        return replace(tx, inputs=(tx.inputs[0]._replace(outpoint=outpoint),))

    def invest_after(hops: int) -> list[str]:
        changed = json.loads(json.dumps(story))
        coin = OutPoint(claim, 0)
        for hop in range(hops):
            script = b"\x00\x14" + bytes([hop]) * 20
            between = Tx(2, (TxIn(coin, b"", 0xFFFFFFFF),), (TxOut(5, script),), 0)
            place = {"height": 501_100 + hop, "time": 1_772_330_500, "indexInBlock": 1}
            changed["transactions"].append({"hex": between.serialize().hex(), **place})
            coin = OutPoint(between.txid, 0)
        entry = entry_of(changed, "invest_D_taproot_change")
        edit(entry, lambda tx: paid_by(coin, tx))
        txid = parse_tx(bytes.fromhex(entry["hex"])).txid
        flags: list[str] = standing(audited(changed), txid)["flags"]
        return flags

    assert invested["expected"]["type"] == "investment"
    assert [invest_after(hops) for hops in range(4)] == [["recycled"]] * 3 + [[]]


def test_a_key_path_spend_is_an_alarm() -> None:
    story = story_of("subscribe")
    entry = entry_of(story, "claim_1")
    # One of two inputs, the other unknown: the signature cannot be checked, so the claim stands.
    edit(
        entry,
        lambda tx: replace(
            tx, inputs=(tx.inputs[0]._replace(witness=(bytes(64),)), other_input(tx))
        ),
    )
    report = audit_file(story)
    assert report.totals.unknown_sats == 990_000
    assert report.exit_code == 2
    assert "key path" in report.problems[0]
    assert_adds_up(as_totals(report))


def test_a_witness_that_proves_nothing_counts_for_nothing() -> None:
    story = story_of("subscribe")
    entry = entry_of(story, "claim_1")

    def forged(tx: Tx) -> Tx:
        signature, *rest = tx.inputs[0].witness
        changed = bytes([signature[0] ^ 1]) + signature[1:]
        return replace(tx, inputs=(tx.inputs[0]._replace(witness=(changed, *rest)),))

    edit(entry, forged)
    report = audit_file(story)
    assert report.totals.claimed_sats == 0
    assert report.exit_code == 2
    assert role(as_json(report), entry["txid"]) == ("spend", "wrong_witness")
    assert_adds_up(as_totals(report))


def test_a_leaf_that_the_output_does_not_hold_proves_nothing() -> None:
    story = story_of("invest")
    entry = entry_of(story, "recovery_A")

    def swapped(tx: Tx) -> Tx:
        first, second, *others = tx.inputs
        return replace(
            tx,
            inputs=(
                first._replace(witness=(first.witness[0], b"\x51", first.witness[-1])),
                second,
                *others,
            ),
        )

    edit(entry, swapped)
    report = audit_file(story)
    assert report.exit_code == 2
    assert len(report.problems) == 1
    assert_adds_up(as_totals(report))


def test_a_replaced_unconfirmed_spend_gives_way_to_the_confirmed_one() -> None:
    story = story_of("subscribe")
    entry = dict(entry_of(story, "claim_1"), height=None, indexInBlock=None)
    edit(entry, lambda tx: replace(tx, locktime=tx.locktime + 1))
    story["transactions"].append(entry)
    report = audit_file(story)
    assert report.totals.claimed_sats == 990_000
    assert report.holds


def test_two_confirmed_spends_of_a_stage_cannot_both_be_true() -> None:
    story = story_of("subscribe")
    entry = dict(entry_of(story, "claim_1"), height=801_001)
    edit(entry, lambda tx: replace(tx, outputs=tx.outputs * 2))
    story["transactions"].append(entry)
    report = audit_file(story)
    assert report.totals.claimed_sats == 990_000
    assert report.exit_code == 2
    assert "2 confirmed transactions" in report.problems[0]


def test_look_alikes_that_share_an_input_change_nothing() -> None:
    story = story_of("subscribe")
    entry = dict(entry_of(story, "sub_1"))
    edit(entry, lambda tx: replace(tx, outputs=(*tx.outputs[:3], tx.outputs[4], tx.outputs[3])))
    story["transactions"].append(entry)
    report = audit_file(story)
    assert report.totals.raised_sats == 3_564_000
    assert report.holds


def test_a_spend_of_an_unconfirmed_investment_counts_for_nothing() -> None:
    story = story_of("subscribe")
    entry_of(story, "sub_1").update(height=None, indexInBlock=None)
    report = audit_file(story)
    assert report.totals.claimed_sats == 0
    assert report.totals.unconfirmed_sats == 2_970_000
    assert_adds_up(as_totals(report))


def test_a_legacy_founding_commits_to_the_event_whose_terms_hold_coins() -> None:
    story = story_of("subscribe")

    def legacy(tx: Tx) -> Tx:
        script = tx.outputs[1].script_pubkey
        mark = script[:35] + b"\x20" + bytes.fromhex(story["projectEvent"]["pubkey"])
        return replace(tx, outputs=(tx.outputs[0], TxOut(0, mark), *tx.outputs[2:]))

    edit(entry_of(story, "founding"), legacy)
    report = audit_file(story)
    assert report.project.status == "confirmed"
    assert report.project.flags == ("legacy_founding",)
    assert report.totals.raised_sats == 3_564_000
    without(story, "sub_1", "sub_2")
    assert audit_file(story).project.status == "announced"


def test_an_empty_case_is_a_missing_event_of_no_project() -> None:
    report = audit_file({"network": "regtest", "transactions": []})
    shown: dict[str, Any] = as_json(report)
    assert shown["project"] == {"id": None, "status": "event_missing", "reason": None}
    assert shown["founding"] == {"txid": None, "height": None, "candidates": []}
    assert set(shown["totals"].values()) == {0}
    assert report.exit_code == 2


def test_transactions_of_nobody_are_listed_without_a_judgement() -> None:
    story = story_of("fund")
    del story["projectEvent"]
    without(story, "founding")
    report = audit_file(story)
    assert report.project.id is None
    assert {transaction.role for transaction in report.transactions} == {"rejected", "unrelated"}


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.data())
def test_totals_add_up_whatever_is_missing_or_still_unconfirmed(
    name: str, data: st.DataObject
) -> None:
    story = story_of(name)
    kept: list[Story] = []
    for entry in story["transactions"]:
        fate = data.draw(st.sampled_from(["stays", "stays", "goes", "waits"]))
        if fate == "waits":
            entry.update(height=None, indexInBlock=None)
        if fate != "goes":
            kept.append(entry)
    story["transactions"] = kept
    report = audit_file(story)
    assert_adds_up(as_totals(report))
    assert len(report.transactions) == len(kept)


@settings(max_examples=60)
@given(st.sampled_from(NAMES), st.data())
def test_a_flipped_byte_never_makes_money(name: str, data: st.DataObject) -> None:
    """Whatever is changed about one transaction, no more is raised than was."""
    story = story_of(name)
    raised = story["expected"]["exactTotalsAtTip"]["inStages"]
    entry = data.draw(st.sampled_from(story["transactions"]))
    raw = bytearray.fromhex(entry["hex"])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    entry["hex"] = raw.hex()
    try:
        report = audit_file(story)
    except InvalidInput:
        return
    assert_adds_up(as_totals(report))
    values = {stage["value"] for inv in story["expected"]["investments"] for stage in inv["stages"]}
    odd = [
        stage
        for inv in report.investments
        for stage in inv.stages
        if stage.stage.value_sats not in values
    ]
    assert report.totals.raised_sats <= raised or odd

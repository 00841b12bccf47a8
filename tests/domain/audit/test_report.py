"""What an audit of the scenarios shows, to the sat, and that it is what the ledger would hold."""

import json
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.investment_state import Place, StoredTx, Tip
from raised.domain.angor.network import network_named
from raised.domain.audit.audit import audit
from raised.domain.audit.case_file import audit_file
from raised.domain.audit.report import AuditReport, as_json
from raised.domain.bitcoin.tx import parse_tx
from raised.domain.event import event_from_json

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
WORDS = {
    "founder_claim": "claim",
    "penalty_recovery": "recovery",
    "unfunded_release": "unfunded_release",
    "seeder_secrets": "penalty_free_recovery",
    "end_of_project": "end_of_project",
}
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


@pytest.mark.parametrize("name", NAMES)
def test_the_founding_transaction_of_a_scenario_is_found_among_its_candidates(name: str) -> None:
    story = story_of(name)
    report, expected = audited(story), story["expected"]["founding"]
    assert report["project"] == {
        "id": story["projectInfo"]["projectIdentifier"],
        "status": "confirmed",
        "reason": None,
    }
    assert report["founding"]["txid"] == expected["txid"]
    assert report["founding"]["height"] == entry_of(story, expected["label"])["height"]
    assert [
        {"txid": candidate["txid"], "accepted": candidate["accepted"]}
        for candidate in report["founding"]["candidates"]
    ] == [
        {"txid": txid_of(story, candidate["label"]), "accepted": candidate["accepted"]}
        for candidate in expected["candidates"]
    ]
    for candidate in report["founding"]["candidates"]:
        assert (candidate["reason"] is None) is candidate["accepted"]


@pytest.mark.parametrize("name", NAMES)
def test_every_transaction_of_a_scenario_has_its_role(name: str) -> None:
    story = story_of(name)
    report = audited(story)
    assert {transaction["txid"]: transaction["role"] for transaction in report["transactions"]} == {
        transaction["txid"]: transaction["expected"]["type"]
        for transaction in story["transactions"]
    }
    for transaction in report["transactions"]:
        assert (transaction["reason"] is None) is (
            transaction["role"] not in ("rejected", "founding_duplicate")
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_investment_and_stage_of_a_scenario_is_as_expected(name: str) -> None:
    story = story_of(name)
    report, expected = audited(story), story["expected"]["investments"]
    assert len(report["investments"]) == len(expected)
    for wanted in expected:
        found = standing(report, wanted["txid"])
        assert found["status"] == ("confirmed" if wanted["confirmed"] else "unconfirmed")
        assert found["height"] == wanted["height"]
        assert found["flags"] == wanted["flags"]
        assert found["investor_key"] == wanted["investorKey"]
        assert found["seeder"] == (wanted["secretHashBytes"] is not None)
        assert found["amount_sats"] == wanted["inStages"]
        assert found["fee_sats"] == wanted["feePaid"]
        assert found["stages"] == [expected_stage(stage) for stage in wanted["stages"]]


def expected_stage(stage: Story) -> Story:
    spent = stage.get("spent")
    return {
        "index": stage["stageIndex"],
        "vout": stage["vout"],
        "value_sats": stage["value"],
        "release_at": stage["releaseDate"],
        "state": "locked" if spent is None else WORDS[spent["kind"]],
        "spent_txid": None if spent is None else spent["txid"],
        "spent_height": None if spent is None else spent["height"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_totals_of_a_scenario_come_out_to_the_sat(name: str) -> None:
    story = story_of(name)
    totals, expected = audited(story)["totals"], story["expected"]["exactTotalsAtTip"]
    assert_adds_up(totals)
    for ours, theirs in {
        "investments": "confirmedInvestments",
        "investors": "uniqueInvestorKeys",
        "raised_sats": "inStages",
        "fees_sats": "feesToAngor",
        "claimed_sats": "claimedByFounder",
        "recovery_sats": "movedToPenalty",
        "unfunded_release_sats": "releasedUnfunded",
        "end_of_project_sats": "returnedAtEnd",
        "penalty_free_recovery_sats": "returnedBySeederSecrets",
        "locked_sats": "lockedNow",
    }.items():
        assert totals[ours] == expected[theirs]
    assert totals["unknown_sats"] == 0
    assert totals["unconfirmed_sats"] == sum(
        investment["inStages"]
        for investment in story["expected"]["investments"]
        if not investment["confirmed"]
    )


def test_a_penalty_is_released_by_the_same_amount_that_went_in() -> None:
    story = story_of("invest")
    released = audited(story)["totals"]
    assert (released["in_penalty_sats"], released["penalty_released_sats"]) == (
        1_188_000,
        8_910_000,
    )
    without(story, "penalty_release_A")
    kept = audited(story)["totals"]
    assert (kept["in_penalty_sats"], kept["penalty_released_sats"]) == (10_098_000, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_holds_whatever_strangers_sent(name: str) -> None:
    report = audit_file(story_of(name))
    assert report.problems == ()
    assert report.holds
    assert report.exit_code == 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_the_order_of_the_file(name: str) -> None:
    story = story_of(name)
    expected = audited(story)
    story["transactions"].reverse()
    assert audited(story) == expected


def test_rejected_transactions_name_their_reason() -> None:
    story = story_of("invest")
    report = audited(story)
    for label, reason in {
        "front_run_founding": "bad_op_return",
        "lookalike_random_taproot": "not_stage_scripts",
        "lookalike_swapped_stages": "not_stage_scripts",
        "lookalike_missing_stage": "missing_stage",
        "fee_to_other_address": "wrong_fee_output",
        "op_return_not_second": "no_op_return",
        "lookalike_bad_op_return": "bad_op_return",
    }.items():
        assert role(report, txid_of(story, label)) == ("rejected", reason)
    fund = story_of("fund")
    report = audited(fund)
    for label in ("unknown_pattern", "no_dynamic_info"):
        assert role(report, txid_of(fund, label)) == ("rejected", "bad_dynamic_info")


def test_only_what_is_deep_enough_counts() -> None:
    story = story_of("subscribe")
    case = [
        StoredTx(
            parse_tx(bytes.fromhex(transaction["hex"])),
            Place(
                transaction["height"], "00" * 32, transaction["indexInBlock"], transaction["time"]
            ),
            transaction["time"],
            gone=False,
        )
        for transaction in story["transactions"]
    ]
    event = event_from_json(story["projectEvent"])
    for height, claimed, returned in ((801_014, 990_000, 0), (801_015, 990_000, 1_980_000)):
        tip = Tip(height, "11" * 32, confirmations=6)
        report = audit(network_named("angornet"), event, case, tip=tip)
        assert report.totals.claimed_sats == claimed
        assert report.totals.end_of_project_sats == returned
        assert as_totals(report) == ledger_of(report)


# One sum for each kind of row.
KINDS = {
    "investment": "raised_sats",
    "claim": "claimed_sats",
    "recovery": "recovery_sats",
    "unfunded_release": "unfunded_release_sats",
    "penalty_free_recovery": "penalty_free_recovery_sats",
    "end_of_project": "end_of_project_sats",
    "unknown": "unknown_sats",
    "penalty_release": "penalty_released_sats",
}


def ledger_of(report: AuditReport) -> dict[str, int]:
    """The totals that the rows of the ledger add up to, and the others as they are."""
    sums = dict.fromkeys(KINDS.values(), 0)
    for row in (row for investment in report.investments for row in investment.rows):
        sums[KINDS[row.kind]] += row.amount_msats // 1_000
    return {**as_totals(report), **sums}


@pytest.mark.parametrize("name", NAMES)
def test_the_totals_are_those_of_the_ledger(name: str) -> None:
    report = audit_file(story_of(name))
    assert as_totals(report) == ledger_of(report)

"""The whole story, told to the record by real relays and a real chain: what is counted, and why."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("pbk")

from tests.rig.databases import KINDS, Databases
from tests.rig.harness import Harness, harness

from raised.clock import now
from raised_simnet.story.paced_player import SUMMARY, Pace, comparable
from raised_simnet.story.steps import Founds, Reorganise, Step
from raised_simnet.story.stories import full_story, start_before

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = int(os.environ.get("RAISED_TEST_SEEDS", "2"))
TELLINGS = [(seed, KINDS[seed % len(KINDS)]) for seed in range(1, SEEDS + 1)]

LOOK_ALIKES = {
    "own taproot outputs": "not_stage_scripts",
    "swapped stages": "not_stage_scripts",
    "missing stage": "missing_stage",
    "burned outputs": "burned_outputs",
    "no such key": "bad_investor_key",
    "fee elsewhere": "wrong_fee_output",
    "mark too late": "no_op_return",
    "three bytes more": "bad_op_return",
    "pattern in an Invest project": "bad_dynamic_info",
    "founding of another": "bad_op_return",
    "old founding of another": "missing_stage",
}
BAD_EVENTS = {"not_author", "not_founder_key", "bad_terms", "wrong_network", "withdrawn"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=TELLINGS)
async def told(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    databases: Databases,
) -> AsyncIterator[Harness]:
    """The story at its end, everything still running."""
    seed, kind = request.param
    folder = tmp_path_factory.mktemp("box")
    story = full_story(seed, start_before(now()), now(), shops=True)
    async with (
        databases.migrated(kind, folder) as url,
        harness(folder, story, database_url=url) as stage,
    ):
        await stage.box.start()
        await stage.play(abreast_before_reorgs(stage))
        yield stage


def abreast_before_reorgs(stage: Harness) -> Pace:
    """As fast as the record follows; it has every block that a reorganisation takes."""
    loose = stage.followed()
    tight = stage.followed(lag=0)
    coming = iter((*stage.performance.story.steps[1:], None))

    async def wait(step: Step) -> None:
        await (tight if isinstance(next(coming), Reorganise) else loose)(step)

    return wait


async def test_the_summary_is_what_the_actors_did(told: Harness) -> None:
    result = await told.outcome()
    assert comparable(result.summary or {}) == result.oracle


def founding(stage: Harness, name: str) -> Founds:
    """What the founding transaction of this founder meant."""
    meaning = stage.performance.player.book.paid[f"{name} founding"].meaning
    assert isinstance(meaning, Founds)
    return meaning


async def test_the_record_is_consistent_and_its_totals_partition(told: Harness) -> None:
    angor = (await told.box.get(SUMMARY))["angor"]
    assert angor["raised_sats"] > 0
    assert angor["net_sats"] == angor["raised_sats"] - angor["returned_sats"]
    held = angor["locked_sats"] + angor["claimed_sats"] + angor["unknown_sats"]
    assert held == angor["net_sats"]
    assert await told.box.is_consistent()


async def test_a_reorg_of_six_blocks_is_a_change_and_reversals(told: Harness) -> None:
    reorgs = [change for change in await told.box.changes() if change["type"] == "reorg"]
    assert max(reorg["data"]["depth"] for reorg in reorgs) == 6
    for reorg in reorgs:
        assert reorg["data"]["from"]["hash"] != reorg["data"]["to"]["hash"]
    movements = {row["id"]: row for row in await told.box.items("/api/v1/movements")}
    reversals = [row for row in movements.values() if row["kind"] == "reversal"]
    assert reversals
    for row in reversals:
        undone = movements[row["reverses"]]
        for same in ("at", "height", "amount_msats", "project_id"):
            assert row[same] == undone[same]
        assert row["net_sats"] == -undone["net_sats"]
    assert len({row["reverses"] for row in reversals}) == len(reversals)


async def test_the_sum_of_all_movements_is_the_summary(told: Harness) -> None:
    rows = await told.box.items("/api/v1/movements")
    summary = await told.box.get(SUMMARY)
    angor = [row for row in rows if row["source"] == "angor"]
    assert sum(row["net_sats"] for row in angor) == summary["angor"]["net_sats"]
    kinds = {row["id"]: row["kind"] for row in rows}
    sums = Counter[str]()
    for row in rows:
        if row["source"] == "btcpay":
            undoes = row["kind"] == "reversal"
            kind = kinds[row["reverses"]] if undoes else row["kind"]
            sums[kind] += int(row["amount_msats"]) * (-1 if undoes else 1)
    assert sums["payment"] // 1000 == summary["btcpay"]["raised_sats"] > 0
    assert sums["refund"] // 1000 == summary["btcpay"]["returned_sats"] > 0
    assert set(sums) == {"payment", "refund"}


async def test_a_campaign_has_both_rails_and_the_rest_of_the_shops_another(told: Harness) -> None:
    ours = await told.box.get(SUMMARY, campaign="sea-ice")
    totals = {key: ours["totals"][key] for key in ("raised_sats", "returned_sats", "net_sats")}
    for key, both in totals.items():
        assert both == ours["angor"][key] + ours["btcpay"][key]
    shops = [await told.box.get(SUMMARY, campaign=shop) for shop in ("studio", "kiosk")]
    assert [shop["angor"]["raised_sats"] for shop in shops] == [0, 0]
    counted = sum(part["btcpay"]["invoices"] for part in (ours, *shops))
    assert counted == (await told.box.get(SUMMARY))["btcpay"]["invoices"]
    shown = await told.box.get("/api/v1/campaigns/sea-ice")
    assert shown["projects"] == [founding(told, "harbour").identifier]
    assert (shown["angor"], shown["btcpay"]) == (ours["angor"], ours["btcpay"])


async def test_a_coin_that_is_locked_in_a_project_is_no_payment(told: Harness) -> None:
    rows = await told.box.items("/api/v1/movements", kind="investment,payment")
    for who in ("olga", "omar"):
        txid = told.txid(f"harbour {who}")
        standing = [row for row in rows if row["txid"] == txid]
        assert {row["source"] for row in standing} == {"angor"}


@pytest.mark.parametrize(("what", "reason"), LOOK_ALIKES.items())
async def test_a_look_alike_is_listed_with_its_reason_and_never_counted(
    told: Harness, what: str, reason: str
) -> None:
    txid = told.txid(f"harbour {what}")
    shown = await told.box.get(f"/api/v1/investments/{txid}")
    assert (shown["status"], shown["reason"]) == ("rejected", reason)
    project = founding(told, "harbour").identifier
    rows = await told.box.items(f"/api/v1/projects/{project}/movements")
    assert txid not in {row["txid"] for row in rows}


async def test_bad_announcements_are_rejected_with_their_reasons(told: Harness) -> None:
    rejected = await told.box.items("/api/v1/projects", status="rejected")
    assert {project["reason"] for project in rejected} == BAD_EVENTS
    assert all(project["totals"]["raised_sats"] == 0 for project in rejected)


async def test_an_announcement_with_a_wrong_founder_key_changes_nothing_for_the_named_project(
    told: Harness,
) -> None:
    harbour = founding(told, "harbour").identifier
    shown = await told.box.get(f"/api/v1/projects/{harbour}")
    own = next(
        step.event["id"]
        for step in told.performance.player.book.published
        if step.identifier == harbour and step.sound
    )
    assert (shown["status"], shown["event_id"]) == ("confirmed", own)


async def test_one_identifier_with_two_terms_follows_the_event_its_founding_names(
    told: Harness,
) -> None:
    twin = founding(told, "twin").identifier
    shown = await told.box.get(f"/api/v1/projects/{twin}")
    book = told.performance.player.book
    draft, final = (s.event["id"] for s in book.published if s.identifier == twin)
    assert (shown["event_id"], shown["candidates"]) == (final, 2)
    assert draft != final
    by_draft = await told.box.get(f"/api/v1/investments/{told.txid('twin zed')}")
    assert (by_draft["status"], by_draft["reason"]) == ("rejected", "not_stage_scripts")


async def test_a_copied_founder_key_that_founds_first_has_the_project_and_a_conflict(
    told: Harness,
) -> None:
    """The chain's order decides; nobody's money changes sides because of a relay."""
    shown = await told.box.get(f"/api/v1/projects/{founding(told, 'stolen').identifier}")
    thief = founding(told, "stolen thief").event_id
    assert (shown["status"], shown["event_id"], shown["candidates"]) == ("confirmed", thief, 2)
    assert "conflict" in shown["flags"]


async def test_a_reorg_can_give_the_project_back_to_its_founder(told: Harness) -> None:
    shown = await told.box.get(f"/api/v1/projects/{founding(told, 'glacier').identifier}")
    assert shown["event_id"] == founding(told, "glacier").event_id
    changes = await told.box.changes()
    about = [c for c in changes if c["project_id"] == shown["id"]]
    assert {"project.confirmed", "project.conflict", "movement"} <= {c["type"] for c in about}


async def test_the_stream_from_the_beginning_is_the_list_of_changes(told: Harness) -> None:
    listed = await told.box.changes()
    last = listed[-1]["seq"]
    streamed: list[dict[str, Any]] = []
    async for message in told.box.stream(after=0):
        if message.type == "hello":
            assert message.id is None
            continue
        assert (message.id, message.type) == (message.data["seq"], message.data["type"])
        streamed.append(message.data)
        if message.id == last:
            break
    assert streamed[: len(listed)] == listed
    seqs = [change["seq"] for change in listed]
    assert seqs == sorted(set(seqs))

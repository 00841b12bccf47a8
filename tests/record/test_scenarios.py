"""The vectors' stories, played through the writer block by block."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from tests.record.conftest import Ledger, Load, Scenario

NAMES = ["invest", "seeders", "fund", "subscribe"]


def totals(project: Mapping[str, Any]) -> Mapping[str, Any]:
    locked = project["raised_sats"] - sum(
        project[name]
        for name in (
            "claimed_sats",
            "recovery_sats",
            "unfunded_release_sats",
            "penalty_free_recovery_sats",
            "end_of_project_sats",
            "unknown_sats",
        )
    )
    return {
        "confirmedInvestments": project["investments"],
        "uniqueInvestorKeys": project["investors"],
        "inStages": project["raised_sats"],
        "claimedByFounder": project["claimed_sats"],
        "movedToPenalty": project["recovery_sats"],
        "releasedUnfunded": project["unfunded_release_sats"],
        "returnedAtEnd": project["end_of_project_sats"],
        "returnedBySeederSecrets": project["penalty_free_recovery_sats"],
        "lockedNow": locked,
    }


def wanted(scenario: Scenario) -> Any:
    expected = scenario.expected["exactTotalsAtTip"]
    return {name: expected[name] for name in totals_names()}


def totals_names() -> Any:
    return (
        "confirmedInvestments",
        "uniqueInvestorKeys",
        "inStages",
        "claimedByFounder",
        "movedToPenalty",
        "releasedUnfunded",
        "returnedAtEnd",
        "returnedBySeederSecrets",
        "lockedNow",
    )


@pytest.mark.parametrize("name", NAMES)
async def test_a_story_block_by_block_gives_its_exact_totals(
    scenario: Load, ledger: Ledger, name: str
) -> None:
    story = scenario(name)
    await ledger.see(story.event_seen(), *map(story.seen, story.heights))
    assert totals(await ledger.project(story.project_id)) == wanted(story)


@pytest.mark.parametrize("name", NAMES)
async def test_a_late_event_counts_everything_from_its_own_block(
    scenario: Load, ledger: Ledger, name: str
) -> None:
    story = scenario(name)
    await ledger.see(*map(story.seen, story.heights))
    before = await ledger.project(story.project_id)
    assert before["status"] == "event_missing"
    assert before["raised_sats"] == 0
    await ledger.see(story.event_seen())
    assert totals(await ledger.project(story.project_id)) == wanted(story)


@pytest.mark.parametrize("name", NAMES)
async def test_reorgs_on_the_way_leave_no_trace_in_the_totals(
    scenario: Load, ledger: Ledger, name: str
) -> None:
    story, dice = scenario(name), random.Random(name)
    await ledger.see(story.event_seen())
    heights, at = story.heights, 0
    for _ in range(30):
        if at and dice.random() < 0.4:
            at = dice.randrange(at)
            await ledger.see(story.back_to(heights[at]))
            at += 1
        elif at < len(heights):
            await ledger.see(story.seen(heights[at]))
            at += 1
    await ledger.see(*map(story.seen, heights[at:]))
    assert totals(await ledger.project(story.project_id)) == wanted(story)

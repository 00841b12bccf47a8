"""What explorers may say, in whatever order and however wrong: no fact is lost, no number is off."""

import random
from dataclasses import replace

import pytest

from raised.db import projects
from raised.db.check import differences
from raised.db.engine import reading
from raised.domain.observation import HistorySeen, MempoolSeen, PlacedTx, TipSeen

NOW = 1_800_000_000


async def whole(ledger):
    async with reading(ledger.engine) as conn:
        assert await differences(conn) == []


def wandering(story, dice, steps=30):
    """Blocks that come and go on several branches, the event somewhere, the true chain last."""
    heights, at, fork, told = story.heights, 0, "", []
    event_due = dice.randrange(steps)
    for step in range(steps):
        if step == event_due:
            told.append(story.event_seen())
        if at and dice.random() < 0.4:
            at, fork = dice.randrange(at), f"fork{step}"
            told.append(story.back_to(heights[at]))
            at += 1
        elif at < len(heights):
            told.append(story.seen(heights[at], fork if dice.random() < 0.5 else ""))
            at += 1
        if dice.random() < 0.2 and at:
            shown = tuple(tx for tx, height, _, _ in story.txs if height is None)
            told.append(MempoolSeen((story.project_id,), shown, (), "explorer", NOW - 1))
    return [*told, *map(story.seen, heights)]


def batches(steps, dice):
    while steps:
        size = dice.randrange(1, 6)
        yield steps[:size]
        steps = steps[size:]


@pytest.mark.parametrize("confirmations", [2, 3, 6])
@pytest.mark.parametrize("name", ["invest", "fund"])
@pytest.mark.parametrize("seed", range(2))
async def test_with_any_depth_the_state_is_that_of_the_facts_alone(
    scenario, ledger, second_ledger, confirmations, name, seed
):
    story, dice = scenario(name), random.Random(f"{confirmations}{name}{seed}")
    ledger.policy = replace(ledger.policy, confirmations=confirmations)
    second_ledger.policy = ledger.policy
    shown = tuple(tx for tx, height, _, _ in story.txs if height is None)
    last = [
        MempoolSeen((story.project_id,), shown, (), "explorer", NOW - 1),
        TipSeen(story.block(story.heights[-1] + 1), "explorer", NOW),
    ]
    for some in batches([*wandering(story, dice), *last], dice):
        await ledger.see_at_once(some)
    await second_ledger.see(story.event_seen(), *map(story.seen, story.heights), *last)
    assert await ledger.state() == await second_ledger.state()
    await whole(ledger)
    await whole(second_ledger)


async def unindexed(ledger):
    async with reading(ledger.engine) as conn:
        return await projects.unindexed_projects(conn)


async def test_a_history_with_a_stale_block_is_asked_for_again(regtest_ledger, world, founder):
    """Read while the chain was changing: what it says of the other block must not be lost."""
    ledger = regtest_ledger
    await ledger.see(world.told(founder.event), world.mine(founding := founder.found()))
    stale = replace(world.tip, height=world.tip.height, hash="99" * 32)
    placed = ((stale, PlacedTx(founder.invested().tx, 2, (), "spv")),)
    told = HistorySeen(founder.project_id, placed, world.tip, "explorer", NOW)
    await ledger.see(told)
    assert await unindexed(ledger) == (founder.project_id,)
    right = HistorySeen(
        founder.project_id,
        ((world.tip, PlacedTx(founding, 1, (), "spv")),),
        world.tip,
        "explorer",
        NOW,
    )
    await ledger.see(right)
    assert await unindexed(ledger) == ()

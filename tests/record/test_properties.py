"""The record follows from the facts: not from how often, or in which order, they came."""

import random
from dataclasses import replace
from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, Load, Scenario, World
from tests.record.ledger_reads import assert_consistent

from raised.db import schema
from raised.domain.bitcoin.tx import OutPoint, TxOut
from raised.domain.observation import HistorySeen, MempoolSeen, Observation, TipSeen
from raised_simnet.actors.announcing import project_event
from raised_simnet.actors.stage_spends import claim

NAMES = ["invest", "seeders", "fund", "subscribe"]
NOW = 1_800_000_000
START = 1_768_435_200


def unconfirmed(story: Scenario, upto: int, at: int = NOW) -> Any:
    """What a mempool shows while the chain ends at `upto`: everything that comes next."""
    later = [height for height in story.heights if height > upto]
    following = [tx for tx, height, _, _ in story.txs if later and height == later[0]]
    waiting = [tx for tx, height, _, _ in story.txs if height is None]
    return MempoolSeen((story.project_id,), tuple(following + waiting), (), "explorer", at)


@pytest.mark.parametrize("name", NAMES)
async def test_seeing_anything_twice_changes_nothing(
    scenario: Load, ledger: Ledger, name: str
) -> None:
    story = scenario(name)
    steps: list[Observation] = [story.event_seen()]
    for height in story.heights:
        steps += [story.seen(height), unconfirmed(story, height)]
    steps.insert(5, story.back_to(story.heights[0]))
    steps += map(story.seen, story.heights)
    for step in steps:
        await ledger.see(step)
        before, told = await ledger.state(), len(await ledger.changes())
        await ledger.see(step)
        assert await ledger.state() == before
        assert len(await ledger.changes()) == told
    await assert_consistent(ledger)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
async def test_the_state_is_that_of_the_facts_alone(
    scenario: Load, second_ledger: Ledger, ledger: Ledger, name: str, seed: int
) -> None:
    """Blocks come and go, other blocks hold the same transactions, the event comes whenever."""
    story, dice = scenario(name), random.Random(f"{name}{seed}")
    await wander(ledger, story, dice)
    await straight(second_ledger, story)
    assert await ledger.state() == await second_ledger.state()
    await assert_consistent(ledger)
    await assert_consistent(second_ledger)


async def straight(ledger: Ledger, story: Scenario) -> Any:
    await ledger.see(story.event_seen(), *map(story.seen, story.heights))
    await ledger.see(unconfirmed(story, story.heights[-1], NOW - 1))


async def wander(ledger: Ledger, story: Scenario, dice: random.Random) -> Any:
    heights, at, fork = story.heights, 0, 0
    event_due = dice.randrange(25)
    for step in range(25):
        if step == event_due:
            await ledger.see(story.event_seen())
        await ledger.see(*wander_once(story, dice, at, fork))
        if at and dice.random() < 0.4:
            at, fork = dice.randrange(at), fork + 1
            await ledger.see(story.back_to(heights[at]))
            at += 1
        elif at < len(heights):
            branch = f"fork{fork}" if dice.random() < 0.3 else ""
            await ledger.see(story.seen(heights[at], branch))
            at += 1
    await ledger.see(*map(story.seen, heights))
    await ledger.see(unconfirmed(story, heights[-1], NOW - 1))


def wander_once(story: Scenario, dice: random.Random, at: int, fork: int) -> Any:
    if dice.random() < 0.3 and at:
        yield unconfirmed(story, story.heights[at - 1], NOW - 1)


@pytest.mark.parametrize("name", NAMES)
async def test_a_history_read_at_once_equals_the_blocks_followed(
    scenario: Load, ledger: Ledger, second_ledger: Ledger, name: str
) -> None:
    story = scenario(name)
    await ledger.see(story.event_seen(), *map(story.seen, story.heights))
    placed = [
        (story.block(height), tx) for height in story.heights for tx in story.seen(height).txs
    ]
    random.Random(name).shuffle(placed)
    tip = story.block(story.heights[-1])
    history = HistorySeen(story.project_id, tuple(placed), tip, "explorer", NOW)
    await second_ledger.see(TipSeen(tip, "explorer", NOW), story.event_seen(), history)
    assert await ledger.state() == await second_ledger.state()


@pytest.mark.parametrize("name", NAMES)
async def test_many_observations_in_one_transaction_end_where_single_ones_do(
    scenario: Load, ledger: Ledger, second_ledger: Ledger, name: str
) -> None:
    story = scenario(name)
    steps: list[Observation] = [*map(story.seen, story.heights)]
    steps += [story.back_to(story.heights[1])]
    steps += [*map(story.seen, story.heights), story.event_seen()]
    await ledger.see(*steps)
    await second_ledger.see_at_once(steps)
    assert await ledger.state() == await second_ledger.state()
    await assert_consistent(second_ledger)


async def test_depth_decides_what_counts(scenario: Load, ledger: Ledger) -> None:
    """With three confirmations the last two blocks of the story are not counted yet."""
    story = scenario("fund")
    deep = replace(ledger.policy, confirmations=3)
    ledger.policy = deep
    await ledger.see(story.event_seen())
    previous: dict[str, Any] | None = None
    for height in story.heights:
        await ledger.see(story.seen(height))
        project = await ledger.project(story.project_id)
        if previous is None:
            assert project["status"] == "committed"
        previous = project
    await ledger.see(TipSeen(story.block(story.heights[-1] + 2), "explorer", NOW))
    settled = await ledger.project(story.project_id)
    assert previous is not None
    assert settled["claimed_sats"] >= previous["claimed_sats"]
    expected = story.expected["exactTotalsAtTip"]
    assert settled["raised_sats"] == expected["inStages"]
    assert settled["claimed_sats"] == expected["claimedByFounder"]
    await assert_consistent(ledger)


@pytest.mark.parametrize("seed", range(6))
async def test_events_may_come_at_any_time_between_the_blocks(
    regtest_ledger: Ledger,
    second_ledger: Ledger,
    world: World,
    founder: Founder,
    other_founder: Founder,
    seed: int,
) -> None:
    """Two projects, rival terms, a deletion, profiles, money that goes round, two foundings."""
    dice = random.Random(seed)
    second_ledger.policy = regtest_ledger.policy
    said, mined, read = everything(world, founder, other_founder)
    await second_ledger.see(*said, *mined, *read)
    mixed = list(mined)
    for one in said:
        mixed.insert(dice.randrange(len(mixed) + 1), one)
    await regtest_ledger.see(*mixed, *read)
    assert await regtest_ledger.state() == await second_ledger.state()
    assert await facts(regtest_ledger) == await facts(second_ledger)
    await assert_consistent(regtest_ledger)


async def facts(ledger: Ledger) -> Any:
    names = ("announcement", "deletion", "project_profile", "event_relay", "founding", "coin")
    found = {name: await ledger.rows(schema.metadata.tables[name]) for name in names}
    for row in found["event_relay"]:
        del row["seen_at"]
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def everything(world: World, founder: Founder, other: Founder) -> Any:
    rival = project_event(founder.author, founder.terms(penalty_days=20), START - 9)
    said = [
        world.told(founder.event),
        world.told(founder.event, relay="wss://two"),
        world.told(rival),
        world.told(other.event),
        world.told(other.withdraw()),
        world.told(founder.signed(0, '{"name":"one"}', START - 5)),
        world.told(founder.signed(0, '{"name":"two"}', START - 4)),
        world.told(gone := founder.signed(0, '{"name":"three"}', START - 3)),
        world.told(founder.signed(5, "", START, ("e", gone["id"]))),
        world.told(founder.signed(30078, "text", START, ("d", "angor:project"))),
    ]
    one, two = founder.invested(label="one"), founder.invested(label="two")
    spend = claim(one.coins[:1], founder.key, TxOut(300_000, founder.key.address_script))
    again = founder.invested(label="again", spends=[OutPoint(spend.txid, 0)])
    mined = [
        first := world.mine(one.tx),
        world.mine(founder.found(rival["id"])),
        world.undo(1),
        world.mine(founder.found(), two.tx, fork="b"),
        world.mine(founder.found(rival["id"]), spend),
        world.pool(again.tx),
        world.mine(again.tx, theirs := other.invested().tx),
        world.undo(1),
        last := world.mine(again.tx, theirs, fork="c"),
        world.mine(),
    ]
    # What paid a project before anybody knew it comes with its history.
    missed = {founder: (first.block, first.txs[0]), other: (last.block, last.txs[1])}
    read = [
        HistorySeen(who.project_id, (placed,), world.tip, "explorer", world.now)
        for who, placed in missed.items()
    ]
    return said, mined, read

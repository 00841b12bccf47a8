"""What explorers may say, in any order and however wrong: nothing is lost, no number is off."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.record.conftest import Founder, Ledger, Load, Scenario, World
from tests.record.ledger_reads import assert_consistent

from raised.db import schema
from raised.db.engine import reading
from raised.db.queries import chain_source
from raised.domain.angor.identifier import identifier
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.script import p2wsh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised.domain.observation import (
    HistorySeen,
    MempoolSeen,
    Observation,
    PlacedTx,
    TipSeen,
)
from raised_simnet.actors.announcing import project_event

NOW = 1_800_000_000
DAY = 86_400
START = 1_768_435_200


def wandering(story: Scenario, dice: random.Random, steps: int = 30) -> list[Observation]:
    """Blocks that come and go on several branches, the event somewhere, the true chain last."""
    heights, at, fork = story.heights, 0, ""
    told: list[Observation] = []
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


def batches(steps: list[Observation], dice: random.Random) -> Iterator[list[Observation]]:
    while steps:
        size = dice.randrange(1, 6)
        yield steps[:size]
        steps = steps[size:]


@pytest.mark.parametrize("confirmations", [2, 3, 6])
@pytest.mark.parametrize("name", ["invest", "fund"])
@pytest.mark.parametrize("seed", range(2))
async def test_with_any_depth_the_state_is_that_of_the_facts_alone(
    scenario: Load,
    ledger: Ledger,
    second_ledger: Ledger,
    confirmations: int,
    name: str,
    seed: int,
) -> None:
    story, dice = scenario(name), random.Random(f"{confirmations}{name}{seed}")
    ledger.policy = replace(ledger.policy, confirmations=confirmations)
    second_ledger.policy = ledger.policy
    shown = tuple(tx for tx, height, _, _ in story.txs if height is None)
    last: list[Observation] = [
        MempoolSeen((story.project_id,), shown, (), "explorer", NOW - 1),
        TipSeen(story.block(story.heights[-1] + 1), "explorer", NOW),
    ]
    for some in batches([*wandering(story, dice), *last], dice):
        await ledger.see_at_once(some)
    await second_ledger.see(story.event_seen(), *map(story.seen, story.heights), *last)
    assert await ledger.state() == await second_ledger.state()
    await assert_consistent(ledger)
    await assert_consistent(second_ledger)


async def unindexed(ledger: Ledger) -> tuple[str, ...]:
    async with reading(ledger.engine) as conn:
        return await chain_source.unindexed_projects(conn)


async def test_a_history_with_a_stale_block_is_asked_for_again(
    regtest_ledger: Ledger, world: World, founder: Founder
) -> None:
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


async def test_a_later_event_of_a_legacy_founder_takes_nobodys_money(
    regtest_ledger: Ledger, world: World, founder: Founder
) -> None:
    """Whatever date it bears and whatever is invested by it: the first coins have decided."""
    ledger = regtest_ledger
    rule = identifier(founder.key.public, network_named("regtest"), "legacy")
    founder.plan = founder.terms(claimed_identifier=rule)
    founder.event = project_event(founder.author, founder.plan, START)
    await ledger.see(world.told(founder.event), world.mine(founder.found_legacy()))
    await ledger.see(world.mine(founder.invested(label="first").tx))
    before = await ledger.project(rule)
    assert (before["status"], before["raised_sats"]) == ("confirmed", 990_000)
    founder.plan = founder.terms(claimed_identifier=rule, recovery_key=founder.author.public)
    rival = project_event(founder.author, founder.plan, START - 100 * DAY)
    await ledger.see(world.told(rival), world.mine(founder.invested(label="second").tx))
    after = await ledger.project(rule)
    assert after["event_id"] == before["event_id"]
    assert after["raised_sats"] == 990_000
    assert after["rejected_investments"] == 1


async def test_unconfirmed_transactions_are_read_parents_first(
    regtest_ledger: Ledger, world: World, founder: Founder
) -> None:
    """A recovery whose penalty output is to be watched may be shown before its investment."""
    ledger = regtest_ledger
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    paid = founder.invested()
    chain: list[Tx] = []
    previous = OutPoint(paid.tx.txid, 2)
    for _ in range(40):
        chain.append(world.pay(TxOut(1_000, p2wsh(b"")), spends=[previous]))
        previous = OutPoint(chain[-1].txid, 0)
    await ledger.see(world.pool(*reversed([paid.tx, *chain])))
    coins = {(row["txid"], row["vout"]) for row in await ledger.rows(schema.coin)}
    assert coins == {(paid.tx.txid, 2), (paid.tx.txid, 3), (chain[0].txid, 0)}

"""How investments stand, what is booked for them, and what is told."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World
from tests.record.investment_steps import claimed, founded
from tests.record.ledger_reads import assert_consistent, booked, investment, kinds

from raised.db import schema
from raised.domain.bitcoin.tx import OutPoint, TxOut
from raised.domain.observation import Observation, TipSeen

DAY = 86_400
START = 1_768_435_200


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def test_an_unconfirmed_investment_is_shown_apart_and_never_booked(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    await ledger.see(world.pool(invested.tx))
    row = await investment(ledger, invested)
    assert (row["status"], row["height"], row["amount_sats"]) == ("unconfirmed", None, 990_000)
    project = await ledger.project(founder.project_id)
    assert (project["unconfirmed_sats"], project["raised_sats"]) == (990_000, 0)
    assert await booked(ledger) == []
    await ledger.see(world.mine(invested.tx))
    project = await ledger.project(founder.project_id)
    assert (project["unconfirmed_sats"], project["raised_sats"]) == (0, 990_000)
    assert await booked(ledger) == [("investment", 396_000, False), ("investment", 594_000, False)]
    assert await kinds(ledger, "investment.") == ["investment.unconfirmed", "investment.confirmed"]
    await assert_consistent(ledger)


async def test_what_was_replaced_is_dropped(ledger: Ledger, world: World, founder: Founder) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    await ledger.see(world.pool(invested.tx), world.pool(gone=[invested.tx]))
    assert (await investment(ledger, invested))["status"] == "dropped"
    assert (await ledger.project(founder.project_id))["unconfirmed_sats"] == 0
    await ledger.see(world.pool(invested.tx))
    assert (await investment(ledger, invested))["status"] == "unconfirmed"


async def test_a_mempool_of_lies_breaks_no_sum(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """Each claims to lock half of all money; nothing proves it while no block holds it."""
    await founded(ledger, world, founder)
    fee, mark, *stages = founder.invested().tx.outputs
    lies = [
        world.pay(fee, mark, *(output._replace(value=525_000_000_000_000) for output in stages))
        for _ in range(4_200)
    ]
    await ledger.see(world.pool(*lies))
    project = await ledger.project(founder.project_id)
    assert project["unconfirmed_sats"] == 4_000 * 2 * 525_000_000_000_000
    await ledger.see(world.pool(gone=lies[:300]), world.pool(*lies))
    project = await ledger.project(founder.project_id)
    assert project["unconfirmed_sats"] == 4_000 * 2 * 525_000_000_000_000
    await assert_consistent(ledger)


async def test_without_its_event_an_investment_is_unverified(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    invested = founder.invested()
    await ledger.see(world.mine(founder.found()), world.mine(invested.tx))
    row = await investment(ledger, invested)
    assert (row["status"], row["investor_key"]) == ("unverified", invested.investor.public.hex())
    await ledger.see(world.told(founder.event))
    row = await investment(ledger, invested)
    assert (row["status"], row["height"]) == ("confirmed", world.tip.height)


async def test_a_look_alike_is_listed_with_its_reason_and_never_added(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    real = founder.invested()
    fake = replace(
        real,
        tx=world.pay(
            real.tx.outputs[0],
            real.tx.outputs[1],
            *([TxOut(9_000_000, b"\x51\x20" + bytes([7] * 32))] * 2),
        ),
    )
    fee, mark, *_ = real.tx.outputs
    bare = replace(real, tx=world.pay(fee, TxOut(1_000, b"\0\x14" + bytes(20)), mark))
    gift = world.pay(fee)
    await ledger.see(world.mine(fake.tx, bare.tx, gift))
    assert (await investment(ledger, fake))["reason"] == "not_stage_scripts"
    assert (await investment(ledger, bare))["reason"] == "no_op_return"
    project = await ledger.project(founder.project_id)
    assert (project["raised_sats"], project["rejected_investments"]) == (0, 2)
    assert gift.txid not in {row["txid"] for row in await ledger.rows(schema.investment)}


async def test_a_reorg_reverses_in_the_opposite_order_and_books_anew(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    spend = claimed(founder, invested)
    await ledger.see(world.mine(invested.tx, spend))
    await ledger.see(world.undo(1))
    assert await booked(ledger) == [
        ("investment", 396_000, True),
        ("investment", 594_000, True),
        ("claim", 396_000, True),
        ("reversal", 396_000, False),
        ("reversal", 594_000, False),
        ("reversal", 396_000, False),
    ]
    rows = sorted(await ledger.rows(schema.movement), key=lambda row: row["id"])
    assert [row["reverses"] for row in rows[3:]] == [3, 2, 1]
    assert await ledger.rows(schema.hour_total) == []
    assert (await ledger.project(founder.project_id))["raised_sats"] == 0
    await ledger.see(world.mine(invested.tx, spend, fork="b"))
    project = await ledger.project(founder.project_id)
    assert (project["raised_sats"], project["claimed_sats"]) == (990_000, 396_000)
    reorg = next(row for row in await ledger.changes() if row["type"] == "reorg")
    assert reorg["data"]["depth"] == 1
    await assert_consistent(ledger)


async def test_every_movement_is_told_with_its_own_number(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    await ledger.see(world.mine(invested.tx), world.mine(claimed(founder, invested)))
    await ledger.see(world.undo(1))
    told = {row["seq"]: row for row in await ledger.changes()}
    assert sorted(told) == list(range(1, len(told) + 1))
    for row in await ledger.rows(schema.movement):
        assert told[row["seq"]]["type"] == "movement"
        assert told[row["seq"]]["data"]["id"] == row["id"]
        assert told[row["seq"]]["reference"] == row["reference"]


async def test_when_the_founding_choice_changes_all_rows_are_booked_anew(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event))
    first, second, invested = founder.found(), founder.found(), founder.invested()
    await ledger.see(world.mine(first), world.mine(second), world.mine(invested.tx))
    project = await ledger.project(founder.project_id)
    assert project["founding_txid"] == first.txid
    # The first block is replaced by one without the first founding; the others come back as one
    # transaction of the record, so the choice jumps from one founding to the other.
    steps: list[Observation] = [
        world.undo(3),
        world.mine(second, fork="b"),
        world.mine(invested.tx, fork="b"),
    ]
    await ledger.see_at_once(steps)
    project = await ledger.project(founder.project_id)
    assert (project["founding_txid"], project["raised_sats"]) == (second.txid, 990_000)
    assert [undone for _, _, undone in await booked(ledger)][:2] == [True, True]
    await assert_consistent(ledger)


async def test_flags_tell_when_an_investment_was_mined(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    early, late = founder.invested(label="early"), founder.invested(label="late")
    await ledger.see(world.told(founder.event), world.mine(early.tx))
    assert (await investment(ledger, early))["status"] == "unconfirmed"
    await ledger.see(world.mine(founder.found()), world.mine(late.tx, after=40 * DAY))
    flags = {
        name: json.loads((await investment(ledger, one))["flags"])
        for name, one in (("early", early), ("late", late))
    }
    assert flags == {"early": ["before_founding"], "late": ["outside_window"]}
    assert (await ledger.project(founder.project_id))["raised_sats"] == 2 * 990_000
    await assert_consistent(ledger)


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
async def test_money_that_goes_round_is_flagged_within_three_hops(
    ledger: Ledger, world: World, founder: Founder, hops: int
) -> None:
    await founded(ledger, world, founder)
    first = founder.invested(label="first")
    spend = claimed(founder, first)
    await ledger.see(world.mine(first.tx), world.mine(spend))
    outpoint = OutPoint(spend.txid, 0)
    for _ in range(hops - 1):
        # Held, because it pays the project: a look-alike of somebody who moves money about.
        step = world.pay(TxOut(5_000, founder.plan.address_script), spends=[outpoint])
        await ledger.see(world.mine(step))
        outpoint = OutPoint(step.txid, 0)
    again = founder.invested(label="again", spends=[outpoint])
    await ledger.see(world.mine(again.tx))
    flags = json.loads((await investment(ledger, again))["flags"])
    assert flags == (["recycled"] if hops <= 3 else [])
    assert (await ledger.project(founder.project_id))["raised_sats"] == 2 * 990_000


async def test_money_is_flagged_as_going_round_when_its_claim_is_learnt_later(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    first = founder.invested(label="first")
    spend = claimed(founder, first)
    again = founder.invested(label="again", spends=[OutPoint(spend.txid, 0)])
    await ledger.see(world.mine(founder.found()), world.mine(first.tx, spend, again.tx))
    await ledger.see(world.told(founder.event))
    assert json.loads((await investment(ledger, again))["flags"]) == ["recycled"]
    await ledger.see(world.undo(1), world.pool(gone=[spend]))
    assert json.loads((await investment(ledger, again))["flags"]) == []
    await assert_consistent(ledger)


async def test_one_investor_with_two_investments_is_one(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    one, two = founder.invested(label="same"), founder.invested(label="same")
    await ledger.see(world.mine(one.tx), world.mine(two.tx), world.mine())
    project = await ledger.project(founder.project_id)
    assert (project["investments"], project["investors"]) == (2, 1)
    await ledger.see(world.undo(2))
    project = await ledger.project(founder.project_id)
    assert (project["investments"], project["investors"]) == (1, 1)
    await assert_consistent(ledger)


async def test_the_target_is_reached_when_the_sum_comes_to_it_in_time(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """The sum after the fee counts as reached: one percent less than the target."""
    await founded(ledger, world, founder)
    half, rest = founder.invested(500_000, "half"), founder.invested(500_000, "rest")
    await ledger.see(world.mine(half.tx))
    assert (await ledger.project(founder.project_id))["reached_at"] is None
    await ledger.see(world.mine(rest.tx))
    assert (await ledger.project(founder.project_id))["reached_at"] == world.tip.time
    await ledger.see(world.undo(1))
    assert (await ledger.project(founder.project_id))["reached_at"] is None


async def test_confirmations_bring_an_investment_and_a_reorg_takes_it(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    ledger.policy = replace(ledger.policy, confirmations=3)
    invested = founder.invested()
    await ledger.see(
        world.told(founder.event), world.mine(founder.found()), world.mine(invested.tx)
    )
    await ledger.see(world.mine(), world.mine())
    row = await investment(ledger, invested)
    assert (row["status"], row["height"]) == ("confirmed", world.tip.height - 2)
    await ledger.see(world.undo(1))
    row = await investment(ledger, invested)
    assert (row["status"], row["height"]) == ("unconfirmed", world.tip.height - 1)
    assert [undone for _, _, undone in await booked(ledger)][:2] == [True, True]
    await ledger.see(TipSeen(world.mine().block, "explorer", world.now))
    assert (await investment(ledger, invested))["status"] == "confirmed"
    await assert_consistent(ledger)

"""How investments stand, what is booked for them, and what is told."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.record.conftest import Founder, Invested, Ledger, World

from raised.db import schema
from raised.db.audit.check import differences
from raised.db.engine import reading
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised.domain.observation import Observation, TipSeen
from raised_simnet.actors.coin_pool import OwnedCoin
from raised_simnet.actors.stage_spends import (
    PenaltyCoin,
    RecoveryKeys,
    claim,
    penalty_output,
    recover,
    release_penalty,
)

DAY = 86_400
START = 1_768_435_200


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def investment(ledger: Ledger, invested: Invested) -> Any:
    rows = await ledger.rows(schema.investment)
    return next(row for row in rows if row["txid"] == invested.tx.txid)


async def booked(ledger: Ledger) -> Any:
    """(kind, amount, whether undone) in the order of booking."""
    rows = sorted(await ledger.rows(schema.movement), key=lambda row: row["id"])
    return [(row["kind"], row["amount_msats"] // 1000, bool(row["reversed_by"])) for row in rows]


async def kinds(ledger: Ledger, prefix: str) -> Any:
    return [row["type"] for row in await ledger.changes() if row["type"].startswith(prefix)]


async def whole(ledger: Ledger) -> None:
    async with reading(ledger.engine) as conn:
        assert await differences(conn) == []


def claimed(founder: Founder, invested: Invested, index: int = 0) -> Any:
    coins = invested.coins[index : index + 1]
    return claim(coins, founder.key, TxOut(coins[0].stage.value - 300, founder.key.address_script))


def recovered(world: World, founder: Founder, invested: Invested, fee_from: Tx) -> Any:
    keys = RecoveryKeys(invested.investor, founder.recovery)
    outputs = [penalty_output(coin, invested.investor.public, 10) for coin in invested.coins]
    fee = OwnedCoin(OutPoint(fee_from.txid, 0), 100_000, invested.investor)
    return recover(invested.coins, keys, outputs, fee)


def released(world: World, founder: Founder, invested: Invested, recovery: Tx) -> Any:
    coins = [
        PenaltyCoin(OutPoint(recovery.txid, vout), coin.stage.value, 10)
        for vout, coin in enumerate(invested.coins)
    ]
    return release_penalty(coins, invested.investor, TxOut(900_000, b"\0\x14" + bytes(20)))


async def founded(ledger: Ledger, world: World, founder: Founder) -> Any:
    await ledger.see(world.told(founder.event), world.mine(founder.found()))


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
    await whole(ledger)


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
    await whole(ledger)


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
    await whole(ledger)


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


async def test_an_unconfirmed_spend_is_named_but_the_money_stays_locked(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    spend = claimed(founder, invested)
    await ledger.see(world.mine(invested.tx), world.pool(spend))
    (first, *_) = sorted(await ledger.rows(schema.stage_output), key=lambda row: row["vout"])
    assert (first["state"], first["spent_txid"], first["spent_height"]) == (
        "claim",
        spend.txid,
        None,
    )
    assert (await ledger.project(founder.project_id))["claimed_sats"] == 0
    await ledger.see(world.pool(gone=[spend]))
    states = {row["state"] for row in await ledger.rows(schema.stage_output)}
    assert states == {"locked"}


async def test_a_forged_witness_in_the_mempool_gives_way_to_the_one_in_the_block(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    spend = claimed(founder, invested)
    (txin, *_) = spend.inputs
    forged = replace(spend, inputs=(txin._replace(witness=(bytes(64),)),))
    assert forged.txid == spend.txid
    await ledger.see(world.mine(invested.tx), world.pool(forged))
    states = [row["state"] for row in await ledger.rows(schema.stage_output)]
    assert "unknown" in states
    await ledger.see(world.mine(spend))
    states = [row["state"] for row in await ledger.rows(schema.stage_output)]
    assert sorted(states) == ["claim", "locked"]
    assert (await ledger.project(founder.project_id))["unknown_sats"] == 0


async def test_a_witness_that_the_output_does_not_commit_to_spends_nothing(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    spend = claimed(founder, invested)
    (txin, *_) = spend.inputs
    signature, script, control = txin.witness
    made_up = txin._replace(witness=(signature, script + b"\x51", control))
    await ledger.see(world.mine(invested.tx), world.pool(replace(spend, inputs=(made_up,))))
    assert {row["state"] for row in await ledger.rows(schema.stage_output)} == {"locked"}


async def test_a_stronger_proof_replaces_a_weaker_one_and_never_the_reverse(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    block = world.mine(founder.invested().tx)
    (placed,) = block.txs
    sights: list[Any] = [
        ("trust", None, ("trust", None)),
        ("trust", ("ab" * 32,), ("trust", '["' + "ab" * 32 + '"]')),
        ("block", (), ("block", "[]")),
        ("spv", ("cd" * 32,), ("block", "[]")),
    ]
    for proven, siblings, wanted in sights:
        stronger = replace(placed, proven=proven, siblings=siblings)
        await ledger.see(replace(block, txs=(stronger,)))
        rows = await ledger.rows(schema.tx)
        (row,) = [row for row in rows if row["txid"] == placed.tx.txid]
        assert (row["proven"], row["siblings"]) == wanted
    assert len(await booked(ledger)) == 2


async def test_a_penalty_goes_in_matures_and_is_released(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    recovery = recovered(world, founder, invested, founder.found())
    await ledger.see(world.mine(invested.tx), world.mine(recovery))
    rows = await ledger.rows(schema.penalty_output)
    assert [(row["state"], row["value_sats"]) for row in rows] == [
        ("in_penalty", 396_000),
        ("in_penalty", 594_000),
    ]
    matures_at = world.tip.time - 600 + 10 * DAY // 512 * 512
    assert {row["matures_at"] for row in rows} == {matures_at}
    await ledger.see(world.mine(after=matures_at - world.tip.time - 1))
    assert {row["state"] for row in await ledger.rows(schema.penalty_output)} == {"in_penalty"}
    await ledger.see(world.mine(after=1))
    assert {row["state"] for row in await ledger.rows(schema.penalty_output)} == {"penalty_matured"}
    assert await kinds(ledger, "penalty.") == ["penalty.matured"] * 2
    await ledger.see(world.undo(1))
    assert {row["state"] for row in await ledger.rows(schema.penalty_output)} == {"in_penalty"}
    release = released(world, founder, invested, recovery)
    await ledger.see(world.mine(after=1, fork="b"), world.mine(release))
    rows = await ledger.rows(schema.penalty_output)
    assert {row["state"] for row in rows} == {"penalty_released"}
    assert {row["released_txid"] for row in rows} == {release.txid}
    project = await ledger.project(founder.project_id)
    assert (project["recovery_sats"], project["penalty_released_sats"]) == (990_000, 990_000)
    assert (await investment(ledger, invested))["returned_sats"] == 990_000
    assert "penalty.released" in await kinds(ledger, "penalty.")
    await whole(ledger)


async def test_without_the_headers_below_a_penalty_matures_no_later_than_said(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    recovery = recovered(world, founder, invested, founder.found())
    await ledger.see(world.mine(invested.tx))
    exact = world.mine(recovery)
    unknown = replace(exact, block=replace(exact.block, median_time=None, prior_median_time=None))
    await ledger.see(unknown)
    bound = world.tip.time - 1 + 10 * DAY // 512 * 512
    assert {row["matures_at"] for row in await ledger.rows(schema.penalty_output)} == {bound}
    await ledger.see(exact)
    known = world.tip.time - 600 + 10 * DAY // 512 * 512
    assert known < bound
    assert {row["matures_at"] for row in await ledger.rows(schema.penalty_output)} == {known}


async def test_all_in_one_block_is_booked_in_the_order_of_the_block(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await founded(ledger, world, founder)
    invested = founder.invested()
    recovery = recovered(world, founder, invested, founder.found())
    release = released(world, founder, invested, recovery)
    await ledger.see(world.mine(invested.tx, recovery, release))
    assert [kind for kind, _, _ in await booked(ledger)] == [
        "investment",
        "investment",
        "recovery",
        "recovery",
        "penalty_release",
        "penalty_release",
    ]
    await whole(ledger)


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
    await whole(ledger)


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
    await whole(ledger)


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
    await whole(ledger)


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
    await whole(ledger)


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
    await whole(ledger)

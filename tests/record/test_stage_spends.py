"""Spends of stages and penalties: what proves them, and what is booked for them."""

from dataclasses import replace
from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World
from tests.record.investment_steps import claimed, founded, recovered, released
from tests.record.ledger_reads import assert_consistent, booked, investment, kinds

from raised.db import schema

DAY = 86_400
START = 1_768_435_200


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


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
    await assert_consistent(ledger)


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
    await assert_consistent(ledger)

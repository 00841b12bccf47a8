"""`raised db check` finds whatever does not follow from the ledger, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import text
from tests.record.conftest import Founder, Ledger, World

from raised.db.check import differences, report
from raised.db.engine import reading
from raised_simnet.leaving import RecoveryKeys, penalty_output, recover
from raised_simnet.purse import OwnedCoin


@pytest.fixture
async def lived_in(regtest_ledger: Ledger, world: World, founder: Founder) -> Any:
    """A record in which everything happened: claims, penalties, a reorg."""
    ledger = regtest_ledger
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    one, two = founder.invested(label="one"), founder.invested(label="two")
    await ledger.see(world.mine(one.tx), world.mine(two.tx))
    keys = RecoveryKeys(two.investor, founder.recovery)
    outputs = [penalty_output(coin, two.investor.public, 10) for coin in two.coins]
    fee = OwnedCoin(world.pay().inputs[0].outpoint, 100_000, two.investor)
    recovery = recover(two.coins, keys, outputs, fee)
    await ledger.see(world.mine(recovery), world.undo(1), world.mine(recovery, fork="b"))
    return ledger


async def found(ledger: Ledger) -> Any:
    async with reading(ledger.engine) as conn:
        return await differences(conn)


async def test_a_record_that_lived_has_no_differences(lived_in: Ledger) -> None:
    assert await found(lived_in) == []
    assert report([]) == ""


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("UPDATE project SET raised_sats = raised_sats + 1", "project.raised_sats"),
        ("UPDATE project SET investors = 7", "project.investors"),
        ("UPDATE project SET unconfirmed_sats = 5", "project.unconfirmed_sats"),
        ("UPDATE project SET claimed_sats = raised_sats + 1", "project.locked_sats"),
        ("UPDATE project SET penalty_released_sats = 9000000", "project.in_penalty_sats"),
        ("UPDATE investment SET returned_sats = 1", "investment.returned_sats"),
        ("UPDATE investment SET amount_sats = 1", "investment.amount_sats"),
        ("UPDATE hour_total SET amount_msats = 1", "hour_total.amount_msats"),
        ("UPDATE hour_total SET rows = 9", "hour_total.rows"),
        ("DELETE FROM hour_total", "hour_total.rows"),
        ("UPDATE movement SET amount_msats = 1 WHERE kind = 'reversal'", "reversal"),
        ("UPDATE movement SET reversed_by = 1 WHERE kind = 'investment'", "reversed_by"),
        ("UPDATE movement SET reference = 'x' WHERE kind = 'recovery'", "movement"),
        ("UPDATE movement SET kind = 'penalty_release' WHERE kind = 'recovery'", "movement"),
        ("UPDATE movement SET reference = 'x' WHERE kind = 'recovery'", "spends"),
        ("UPDATE movement SET seq = 1", "seq"),
        ("UPDATE counter SET value = 1 WHERE name = 'movement'", "counter"),
    ],
)
async def test_every_tampering_is_found(lived_in: Ledger, tampering: str, what: str) -> None:
    async with lived_in.engine.begin() as conn:
        await conn.execute(text(tampering))
    differing = await found(lived_in)
    assert what in {one.what for one in differing}
    assert what in report(differing)

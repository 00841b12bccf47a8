"""`raised db check` finds whatever does not follow from the ledger, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import text
from tests.record.conftest import Founder, Ledger, World
from tests.rig.store_observations import StoreObservations, coin, invoice, payment, payout, pull

from raised.db.audit.check import differences, report
from raised.db.engine import reading
from raised_simnet.actors.coin_pool import OwnedCoin
from raised_simnet.actors.stage_spends import RecoveryKeys, penalty_output, recover


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


@pytest.fixture
async def traded(lived_in: Ledger, world: World, founder: Founder) -> Any:
    """The same with two stores: a shared coin, one that waits, a refund, an investment's coin."""
    shop, stall = StoreObservations("shop"), StoreObservations("stall")
    both = invoice("one", payment(coin(1)), payment(coin(2), status="Processing"))
    await lived_in.see(
        shop.invoices_seen(both, invoice("two", payment(coin(3), status="Processing")))
    )
    await lived_in.see(stall.invoices_seen(both))
    await lived_in.see(shop.refunds_seen([pull("pp", "Refund one")], payout("po", "pp")))
    invested = founder.invested(label="three")
    mine = payment(str(invested.coins[0].outpoint), "0.001")
    await lived_in.see(world.mine(invested.tx), shop.invoices_seen(invoice("three", mine)))
    return lived_in


_TWICE = """
    INSERT INTO movement (id, seq, kind, amount_msats, at, recorded_at, source, store,
        reference, invoice_id)
    SELECT id + 1000, seq + 1000, kind, amount_msats, at, recorded_at, source, store,
        reference, invoice_id FROM movement WHERE kind = '{kind}'
"""
_TAMPERED = [
    ("UPDATE invoice SET counted_msats = 1 WHERE store = 'stall'", "invoice.counted_msats"),
    ("UPDATE invoice SET pending_msats = 1 WHERE store = 'stall'", "invoice.pending_msats"),
    ("UPDATE invoice SET pending_msats = 0", "invoice.pending_msats"),
    ("UPDATE invoice SET first_counted_at = 1 WHERE counted_msats > 0", "invoice.first_counted_at"),
    ("UPDATE invoice SET campaign = 'film' WHERE id = 'two'", "invoice.campaign"),
    ("UPDATE invoice SET campaign = 'film'", "hour_total.amount_msats"),
    ("UPDATE hour_total SET owner = 'film' WHERE source = 'btcpay'", "hour_total.rows"),
    ("UPDATE invoice_payment SET status = 'Invalid' WHERE status = 'Settled'", "payment"),
    ("UPDATE invoice_payment SET value_msats = 7 WHERE status = 'Settled'", "payment"),
    ("UPDATE invoice_payment SET status = 'Settled'", "payments"),
    ("UPDATE movement SET reference = 'x' WHERE kind = 'payment'", "payments"),
    ("UPDATE movement SET kind = 'payment' WHERE kind = 'investment'", "payment"),
    ("UPDATE movement SET kind = 'payment' WHERE kind = 'refund'", "refund"),
    ("UPDATE payout SET state = 'Cancelled'", "refund"),
    ("UPDATE pull_payment SET invoice_id = 'two'", "refund"),
    (_TWICE.format(kind="payment"), "payments"),
    (_TWICE.format(kind="refund"), "refunds"),
]


async def test_stores_that_lived_have_no_differences_and_no_tampering_is_missed(
    traded: Ledger,
) -> None:
    assert await found(traded) == []
    async with traded.engine.connect() as conn:
        for tampering, what in _TAMPERED:
            await conn.execute(text(tampering))
            assert what in {difference.what for difference in await differences(conn)}, tampering
            await conn.rollback()
    assert await found(traded) == []

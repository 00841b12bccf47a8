"""A coin that is a payment and a stage output, too, is money once: the investment's."""

from typing import Any

import pytest
from tests.record.conftest import Founder, Invested, Ledger, World
from tests.record.ledger_reads import assert_consistent, counted, item, row
from tests.rig.store_observations import HASH, START, StoreObservations, coin, invoice, payment

from raised.db import schema


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
def shop() -> StoreObservations:
    return StoreObservations()


def stage_coin(invested: Invested) -> tuple[str, str]:
    """The outpoint of a stage output, and its value in bitcoin."""
    sats = invested.coins[0].output.value
    return str(invested.coins[0].outpoint), f"0.{sats:08d}"


async def kinds(ledger: Ledger) -> list[str]:
    rows = sorted(await ledger.rows(schema.movement), key=lambda row: row["id"])
    return [row["kind"] for row in rows]


async def test_a_confirmed_investment_takes_its_coin_from_a_payment(
    ledger: Ledger, world: World, founder: Founder, shop: StoreObservations
) -> None:
    invested = founder.invested()
    reference, value = stage_coin(invested)
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    await ledger.see(shop.invoices_seen(invoice("one", payment(reference, value))))
    assert (await row(ledger, "one"))["counted_msats"] > 0
    await ledger.see(world.mine(invested.tx))
    assert await counted(ledger) == {}
    # the payment gives the coin back before the investment has it
    assert await kinds(ledger) == ["payment", "reversal", "investment", "investment"]
    assert (await row(ledger, "one"))["counted_msats"] == 0
    assert (await item(ledger, "one"))["payments"][0]["counted"] is False
    await assert_consistent(ledger)
    await ledger.see(world.undo(1))
    assert sum((await counted(ledger)).values()) > 0
    assert (await kinds(ledger))[-1] == "payment"
    await assert_consistent(ledger)
    await ledger.see(world.mine(invested.tx, fork="b"))
    assert await counted(ledger) == {}
    await assert_consistent(ledger)


async def test_a_payment_with_the_coin_of_a_known_investment_is_never_booked(
    ledger: Ledger, world: World, founder: Founder, shop: StoreObservations
) -> None:
    invested = founder.invested()
    reference, value = stage_coin(invested)
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    await ledger.see(world.mine(invested.tx))
    await ledger.see(shop.invoices_seen(invoice("one", payment(reference, value))))
    assert await counted(ledger) == {}
    assert (await row(ledger, "one"))["first_counted_at"] is None
    await assert_consistent(ledger)


async def test_a_coin_that_waits_in_the_mempool_as_an_investment_is_not_pending_twice(
    ledger: Ledger, world: World, founder: Founder, shop: StoreObservations
) -> None:
    invested = founder.invested()
    reference, value = stage_coin(invested)
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    waiting = payment(reference, value, "Processing")
    await ledger.see(shop.invoices_seen(invoice("one", waiting, status="Processing")))
    pending = (await row(ledger, "one"))["pending_msats"]
    assert pending > 0
    await ledger.see(world.pool(invested.tx, projects=[founder.project_id]))
    assert (await row(ledger, "one"))["pending_msats"] == 0
    await assert_consistent(ledger)
    await ledger.see(world.pool(gone=[invested.tx], projects=[founder.project_id]))
    assert (await row(ledger, "one"))["pending_msats"] == pending
    await assert_consistent(ledger)


async def test_a_payment_becomes_a_stage_output_when_the_project_is_understood(
    ledger: Ledger, world: World, founder: Founder, shop: StoreObservations
) -> None:
    """The event comes last: only then the coin is known to be an investment's."""
    invested = founder.invested()
    reference, value = stage_coin(invested)
    await ledger.see(shop.invoices_seen(invoice("one", payment(reference, value))))
    await ledger.see(world.mine(founder.found()), world.mine(invested.tx))
    assert len(await counted(ledger)) == 1
    await ledger.see(world.told(founder.event))
    assert await counted(ledger) == {}
    await assert_consistent(ledger)


async def test_one_coin_in_two_stores_counts_for_the_first_that_was_booked(
    ledger: Ledger, shop: StoreObservations
) -> None:
    stall = StoreObservations("stall", shop.now)
    await ledger.see(stall.invoices_seen(invoice("two", payment(coin(1), at=START + 200))))
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1), at=START + 100))))
    assert await counted(ledger) == {"stall/two": 100_000_000}
    assert (await item(ledger, "one"))["payments"][0]["counted"] is False
    await ledger.see(stall.invoices_seen(invoice("two", payment(coin(1), status="Invalid"))))
    assert await counted(ledger) == {"shop/one": 100_000_000}
    assert (await row(ledger, "two", "stall"))["counted_msats"] == 0
    assert (await row(ledger, "one"))["first_counted_at"] == START + 100
    await assert_consistent(ledger)


async def test_one_coin_that_waits_in_two_stores_is_pending_once(
    ledger: Ledger, shop: StoreObservations
) -> None:
    stall = StoreObservations("stall", shop.now)
    waiting = payment(coin(1), status="Processing")
    await ledger.see(
        shop.invoices_seen(invoice("one", waiting)), stall.invoices_seen(invoice("two", waiting))
    )
    rows = await ledger.rows(schema.invoice)
    assert sorted(row["pending_msats"] for row in rows) == [0, 100_000_000]
    await ledger.see(stall.invoices_seen(invoice("two", payment(coin(1)))))
    rows = await ledger.rows(schema.invoice)
    assert [row["pending_msats"] for row in rows] == [0, 0]
    assert await counted(ledger) == {"stall/two": 100_000_000}
    await assert_consistent(ledger)


async def test_a_coin_that_waits_again_is_pending_where_it_came_first(ledger: Ledger) -> None:
    one, two = StoreObservations("one"), StoreObservations("two")
    early = payment(coin(1), status="Processing", at=START + 100)
    await ledger.see(two.invoices_seen(invoice("late", payment(coin(1), at=START + 200))))
    await ledger.see(one.invoices_seen(invoice("early", early)))
    assert await counted(ledger) == {"two/late": 100_000_000}
    again = payment(coin(1), status="Processing", at=START + 200)
    await ledger.see(two.invoices_seen(invoice("late", again)))
    assert (await row(ledger, "early", "one"))["pending_msats"] == 100_000_000
    assert (await row(ledger, "late", "two"))["pending_msats"] == 0
    await assert_consistent(ledger)


async def test_a_lightning_payment_shown_by_two_methods_counts_once(
    ledger: Ledger, shop: StoreObservations
) -> None:
    twice = [payment(HASH, method="BTC-LN"), payment(HASH, method="BTC-LNURL")]
    await ledger.see(shop.invoices_seen(invoice("one", *twice)))
    assert await counted(ledger) == {"shop/one": 100_000_000}
    shown = await item(ledger, "one")
    assert [payment["counted"] for payment in shown["payments"]] == [True, False]
    await assert_consistent(ledger)

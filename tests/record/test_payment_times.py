"""A server outside UTC dates payments hours off: none counts later than it was first seen."""

from typing import Any

import pytest
from tests.record.conftest import Ledger
from tests.record.ledger_reads import assert_consistent, item
from tests.rig.store_observations import (
    START,
    StoreObservations,
    coin,
    invoice,
    payment,
    payout,
    pull,
)

from raised.db import schema
from raised.domain.btcpay.invoice import PaymentStatus

HOUR = 3600


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
def shop() -> StoreObservations:
    return StoreObservations()


async def standing(ledger: Ledger) -> list[tuple[str, int]]:
    """Kind and time of the movements that are not reversed."""
    rows = await ledger.rows(schema.movement)
    return [(row["kind"], row["at"]) for row in rows if row["reversed_by"] is None]


async def test_a_payment_dated_ahead_counts_when_it_was_first_seen(
    ledger: Ledger, shop: StoreObservations
) -> None:
    paid = payment(coin(1), at=shop.now + 5 * HOUR)
    await ledger.see(shop.invoices_seen(invoice("one", paid)))
    first_seen_at = shop.now
    assert await standing(ledger) == [("payment", first_seen_at)]
    (shown,) = (await item(ledger, "one"))["payments"]
    assert shown["received_at"] == "2026-01-15T02:46:41Z"
    before = await ledger.rows(schema.movement)
    shop.now += HOUR
    await ledger.see(shop.invoices_seen(invoice("one", paid), origin="full"))
    shop.now += 10 * HOUR  # its date is past now
    await ledger.see(shop.invoices_seen(invoice("one", paid), origin="full"))
    assert await ledger.rows(schema.movement) == before
    await assert_consistent(ledger)


@pytest.mark.parametrize("method", ["BTC-CHAIN", "BTC-LN"])
async def test_one_that_settles_later_still_counts_when_it_was_first_seen(
    ledger: Ledger, shop: StoreObservations, method: str
) -> None:
    reference = coin(1) if method == "BTC-CHAIN" else "ab" * 32
    statuses: tuple[PaymentStatus, ...] = ("Processing", "Settled")
    times = []
    for status in statuses:
        paid = payment(reference, status=status, at=START + 30 * HOUR, method=method)
        await ledger.see(shop.invoices_seen(invoice("one", paid)))
        times.append(shop.now)
        shop.now += HOUR
    assert await standing(ledger) == [("payment", times[0])]
    await assert_consistent(ledger)


async def test_a_payment_dated_behind_stays_where_the_server_says(
    ledger: Ledger, shop: StoreObservations
) -> None:
    paid = payment(coin(1), at=START - 9 * HOUR)
    await ledger.see(shop.invoices_seen(invoice("one", paid)))
    assert await standing(ledger) == [("payment", START - 9 * HOUR)]


async def test_a_refund_dated_ahead_counts_when_it_was_first_seen(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    back = payout("po", "pp", at=shop.now + 5 * HOUR)
    await ledger.see(shop.refunds_seen([pull("pp", "Refund one")], back))
    first_seen_at = shop.now
    assert ("refund", first_seen_at) in await standing(ledger)
    before = await ledger.rows(schema.movement)
    shop.now += 10 * HOUR
    await ledger.see(shop.refunds_seen([pull("pp", "Refund one")], back))
    assert await ledger.rows(schema.movement) == before
    await assert_consistent(ledger)

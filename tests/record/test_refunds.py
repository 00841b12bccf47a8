"""Refunds: money that left counts as returned when it is proven whose it was."""

from typing import Any

import pytest
from tests.record.conftest import Ledger
from tests.record.ledger_reads import assert_consistent, item, row
from tests.rig.store_observations import (
    HASH,
    START,
    StoreObservations,
    coin,
    invoice,
    payment,
    payout,
    pull,
)

from raised.db import schema
from raised.db.engine import reading
from raised.db.items.store_item import store_items
from raised.domain.observation import Observation, SourceHealth


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
def shop() -> StoreObservations:
    return StoreObservations()


async def refunds(ledger: Ledger) -> list[tuple[str, int]]:
    """Invoice and amount of the refunds that stand."""
    return [
        (row["invoice_id"], row["amount_msats"])
        for row in await ledger.rows(schema.movement)
        if row["kind"] == "refund" and row["reversed_by"] is None
    ]


async def test_a_completed_payout_of_a_refund_is_booked_and_told(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    await ledger.see(shop.refunds_seen([pull("pp", "Refund one")], payout("po", "pp")))
    booked = next(row for row in await ledger.rows(schema.movement) if row["kind"] == "refund")
    assert (booked["amount_msats"], booked["at"]) == (40_000_000, START + 5000)
    assert (booked["reference"], booked["txid"]) == ("po", HASH)
    assert (booked["store"], booked["invoice_id"]) == ("shop", "one")
    changes = (await ledger.changes())[-2:]
    assert [change["type"] for change in changes] == ["refund.completed", "movement"]
    assert [change["reference"] for change in changes] == ["po", "po"]
    shown = await item(ledger, "one")
    assert changes[0]["data"] == shown
    assert shown["refunds"] == [
        {
            "id": "po",
            "pull_payment_id": "pp",
            "amount": "0.0004",
            "currency": "BTC",
            "value_msats": "40000000",
            "at": "2026-01-15T01:23:20Z",
            "movement_id": booked["id"],
        }
    ]
    # what was received stays received
    assert shown["received_sats"] == 100_000
    hours = {row["kind"]: row["amount_msats"] for row in await ledger.rows(schema.hour_total)}
    assert hours == {"payment": 100_000_000, "refund": 40_000_000}
    await assert_consistent(ledger)


async def test_only_money_that_is_proven_an_invoices_is_a_refund(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(SourceHealth("store", "shop", "ok", START))
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    pulls = [pull("salary", None), pull("like", "Refund ones"), pull("pp", "Refund one")]
    await ledger.see(
        shop.refunds_seen(
            pulls,
            payout("free", None),
            payout("wages", "salary"),
            payout("close", "like"),
            payout("open", "pp", state="AwaitingPayment"),
            payout("litecoin", "pp", currency="LTC", value_msats=None),
        )
    )
    assert await refunds(ledger) == []
    async with reading(ledger.engine) as conn:
        shown = (await store_items(conn))["shop"]
    assert shown.unlinked_payouts == 3
    (litecoin,) = (await item(ledger, "one"))["refunds"]
    assert (litecoin["id"], litecoin["movement_id"]) == ("litecoin", None)
    await assert_consistent(ledger)


async def test_a_payout_counts_when_it_completes_and_no_longer_when_it_does_not(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    pulls = [pull("pp", "Refund one")]
    await ledger.see(
        shop.refunds_seen(pulls, payout("po", "pp", state="InProgress", value_msats=None))
    )
    assert await refunds(ledger) == []
    await ledger.see(shop.refunds_seen(pulls, payout("po", "pp")))
    assert await refunds(ledger) == [("one", 40_000_000)]
    before = await ledger.changes()
    await ledger.see(shop.refunds_seen(pulls, payout("po", "pp")))
    assert await ledger.changes() == before
    await ledger.see(shop.refunds_seen(pulls, payout("po", "pp", state="Cancelled")))
    assert await refunds(ledger) == []
    await assert_consistent(ledger)


async def test_a_signed_event_proves_whose_a_refund_is_whatever_it_is_called(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1))), invoice("two")))
    await ledger.see(shop.refunds_seen([pull("pp", "Refund two")], payout("po", "pp")))
    assert await refunds(ledger) == [("two", 40_000_000)]
    await ledger.see(shop.deliveries_done({}, pp="one"))
    assert await refunds(ledger) == [("one", 40_000_000)]
    await ledger.see(shop.refunds_seen([pull("pp", None)], payout("po", "pp")))
    assert await refunds(ledger) == [("one", 40_000_000)]
    await assert_consistent(ledger)


@pytest.mark.parametrize(
    ("order", "name"),
    [((0, 1, 2), None), ((2, 1, 0), "Refund one"), ((1, 2, 0), None), ((2, 0, 1), None)],
)
async def test_in_whatever_order_invoice_event_and_payout_come(
    ledger: Ledger, shop: StoreObservations, order: tuple[int, ...], name: str | None
) -> None:
    steps: list[Observation] = [
        shop.invoices_seen(invoice("one", payment(coin(1)))),
        shop.deliveries_done({}, pp="one"),
        shop.refunds_seen([pull("pp", name)], payout("po", "pp")),
    ]
    for number in order:
        await ledger.see(steps[number])
        await assert_consistent(ledger)
    assert await refunds(ledger) == [("one", 40_000_000)]
    (kept,) = await ledger.rows(schema.pull_payment)
    assert (kept["name"], kept["invoice_id"]) == (name, "one")


async def test_a_name_is_enough_also_when_the_invoice_comes_later(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.refunds_seen([pull("pp", "Refund one")], payout("po", "pp")))
    assert await refunds(ledger) == []
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    assert await refunds(ledger) == [("one", 40_000_000)]
    assert (await row(ledger, "one"))["counted_msats"] == 100_000_000
    await assert_consistent(ledger)


async def test_a_store_listed_under_two_addresses_refunds_once(
    ledger: Ledger, shop: StoreObservations
) -> None:
    onion = StoreObservations("onion", shop.now)
    pulls = [pull("pp", "Refund one")]
    for one in (onion, shop):
        await ledger.see(one.invoices_seen(invoice("one", payment(coin(1)))))
        await ledger.see(one.refunds_seen(pulls, payout("po", "pp")))
        await assert_consistent(ledger)
    rows = [row for row in await ledger.rows(schema.movement) if row["reversed_by"] is None]
    assert sorted((row["kind"], row["store"]) for row in rows) == [
        ("payment", "onion"),
        ("refund", "onion"),
    ]
    await ledger.see(onion.refunds_seen(pulls, payout("po", "pp", state="Cancelled")))
    rows = [row for row in await ledger.rows(schema.movement) if row["reversed_by"] is None]
    assert ("refund", "shop") in {(row["kind"], row["store"]) for row in rows}
    await assert_consistent(ledger)


async def test_a_payout_whose_figures_are_corrected_is_booked_anew(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    pulls = [pull("pp", "Refund one")]
    await ledger.see(shop.refunds_seen(pulls, payout("po", "pp")))
    await ledger.see(shop.refunds_seen(pulls, payout("po", "pp", "0.0005")))
    assert await refunds(ledger) == [("one", 50_000_000)]
    await assert_consistent(ledger)

"""Deliveries: acted on once, the best witness of when things settled, and missed when they lack."""

from typing import Any

import msgspec
import pytest
from tests.record.conftest import Ledger
from tests.record.ledger_reads import item
from tests.rig.store_observations import START, StoreObservations, coin, invoice, payment

from raised.db import schema
from raised.db.engine import transact
from raised.db.facts.retention import drop_old_deliveries
from raised.db.items.delivery_item import delivery_items
from raised.db.items.instant import instant
from raised.db.items.store_item import store_items
from raised.domain.observation import CampaignsConfigured, ClockTicked, SourceHealth, SweepReached
from raised.service.record_view import RecordView


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
async def shop(ledger: Ledger) -> StoreObservations:
    """A store that has promised events and was swept once."""
    shop = StoreObservations()
    await ledger.see(CampaignsConfigured(START - 5, (), {"shop": True}))
    await ledger.see(SourceHealth("store", "shop", "ok", START))
    began_at = shop.now
    await ledger.see(
        shop.invoices_seen(invoice("old"), origin="full"), shop.sweep_done("full", began_at)
    )
    assert await ledger.rows(schema.expected_delivery) == []
    return shop


async def deliver(ledger: Ledger, kind: str, invoice_id: str | None, at: int, **other: Any) -> None:
    """The inbox has taken a delivery."""
    number = len(await ledger.rows(schema.delivery)) + 1
    row = {
        "store": "shop",
        "webhook_id": "hook",
        "delivery_id": f"d{number}",
        "original_delivery_id": f"d{number}",
        "type": kind,
        "invoice_id": invoice_id,
        "redelivery": False,
        "sent_at": at,
        "received_at": at,
    }
    async with ledger.engine.begin() as conn:
        await conn.execute(schema.delivery.insert().values(row | other))


async def misses(ledger: Ledger) -> int:
    return int((await ledger.rows(schema.store))[0]["misses"])


async def expected(ledger: Ledger) -> set[tuple[str, str]]:
    rows = await ledger.rows(schema.expected_delivery)
    return {(row["invoice_id"], row["type"]) for row in rows}


async def test_what_a_sweep_finds_first_is_missed_when_no_event_comes_in_time(
    ledger: Ledger, shop: StoreObservations
) -> None:
    shop.now += 600
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1))), origin="active"))
    assert await expected(ledger) == {
        ("old", "InvoiceReceivedPayment"),
        ("old", "InvoicePaymentSettled"),
        ("old", "InvoiceSettled"),
    }
    await ledger.see(ClockTicked(shop.now + 119))
    assert await misses(ledger) == 0
    await deliver(ledger, "InvoiceSettled", "old", shop.now + 60)
    await deliver(ledger, "InvoicePaymentSettled", "other", shop.now + 60)
    due_at = shop.now + 121
    await ledger.see(ClockTicked(due_at))
    assert await misses(ledger) == 2
    assert await expected(ledger) == set()
    await ledger.see(ClockTicked(shop.now + 500))
    async with ledger.engine.connect() as conn:
        shown = (await store_items(conn))["shop"]
    assert (shown.misses, shown.last_miss_at) == (2, instant(due_at))


async def test_an_event_that_came_before_the_sweep_tells_it(
    ledger: Ledger, shop: StoreObservations
) -> None:
    """It waits in the inbox while the sweep is faster; the clocks may differ a little."""
    seen_at = shop.now - 1
    for kind in ("InvoiceReceivedPayment", "InvoicePaymentSettled", "InvoiceSettled"):
        await deliver(ledger, kind, "old", seen_at - 100)
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1))), origin="active"))
    await ledger.see(ClockTicked(shop.now + 130))
    assert await misses(ledger) == 0


@pytest.mark.parametrize(
    ("shown", "kinds"),
    [
        (invoice("new", created_at=START + 9999), {"InvoiceCreated"}),
        (invoice("old", status="Expired"), {"InvoiceExpired"}),
        (invoice("old", status="Invalid"), {"InvoiceInvalid"}),
        (invoice("old", status="Processing"), {"InvoiceProcessing"}),
        (invoice("old", status="Other"), set[str]()),
        (invoice("old", archived=True), set[str]()),
        (invoice("old", payment(coin(1), status="Invalid"), status="New"), set[str]()),
        (
            invoice("old", payment(coin(1), status="Processing"), status="New"),
            {"InvoiceReceivedPayment"},
        ),
    ],
)
async def test_each_change_has_its_event(
    ledger: Ledger, shop: StoreObservations, shown: Any, kinds: set[str]
) -> None:
    await ledger.see(shop.invoices_seen(shown, origin="recent"))
    assert {kind for _, kind in await expected(ledger)} == kinds


async def test_what_a_delivery_rang_for_is_no_miss(ledger: Ledger, shop: StoreObservations) -> None:
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1))), invoice("new")))
    assert await expected(ledger) == set()


async def test_what_happened_before_events_were_promised_is_no_miss(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(CampaignsConfigured(shop.now, (), {"shop": False}))
    await ledger.see(shop.invoices_seen(invoice("old", status="Expired"), origin="active"))
    assert await expected(ledger) == set()
    await ledger.see(CampaignsConfigured(shop.now + 5, (), {"shop": True}))
    shop.now += 10
    found = [invoice("old", payment(coin(1))), invoice("older", created_at=START)]
    await ledger.see(shop.invoices_seen(*found, origin="active"))
    assert await expected(ledger) == set()
    await ledger.see(shop.invoices_seen(invoice("older", status="Expired"), origin="active"))
    assert await expected(ledger) == {("older", "InvoiceExpired")}
    await ledger.see(CampaignsConfigured(shop.now, (), {}))
    assert await expected(ledger) == set()


async def test_an_invoice_settled_when_its_event_says(
    ledger: Ledger, shop: StoreObservations
) -> None:
    shop.now += 600
    await deliver(ledger, "InvoiceSettled", "old", START + 10_300, received_at=START + 10_400)
    await deliver(ledger, "InvoicePaymentSettled", "old", START + 10_250)
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1)))))
    shown = await item(ledger, "old")
    assert (shown["settled_at"], shown["settled_at_approximate"]) == ("2026-01-15T02:51:40Z", False)
    assert (await ledger.rows(schema.invoice_payment))[0]["settled_at"] == START + 10_250
    await deliver(ledger, "InvoiceSettled", "old", START + 10_500)
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1)))))
    assert (await item(ledger, "old"))["settled_at"] == "2026-01-15T02:51:40Z"


async def test_an_invoice_that_settles_again_does_so_when_its_second_event_says(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await deliver(ledger, "InvoiceSettled", "old", shop.now)
    await ledger.see(
        shop.invoices_seen(invoice("old", payment(coin(1)), additional_status="Marked"))
    )
    shop.now += 5000
    fallen = invoice("old", payment(coin(1)), status="Invalid", additional_status="Marked")
    await ledger.see(shop.invoices_seen(fallen))
    shop.now += 5000
    again = invoice("old", payment(coin(1)), additional_status="Marked")
    await ledger.see(shop.invoices_seen(again, origin="active"), shop.invoices_seen(again))
    (kept,) = await ledger.rows(schema.invoice)
    assert (kept["settled_at"], kept["settled_at_approximate"]) == (shop.now - 1, True)
    await deliver(ledger, "InvoiceSettled", "old", shop.now - 30, received_at=shop.now + 600)
    exact = shop.now - 30
    await ledger.see(shop.invoices_seen(again))
    (kept,) = await ledger.rows(schema.invoice)
    assert (kept["settled_at"], kept["settled_at_approximate"]) == (exact, False)


async def test_without_an_event_it_settled_about_when_we_saw_it(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1))), origin="active"))
    first = shop.now
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1))), origin="active"))
    (kept,) = await ledger.rows(schema.invoice)
    assert (kept["settled_at"], kept["settled_at_approximate"]) == (first, True)
    assert (await ledger.rows(schema.invoice_payment))[0]["settled_at"] == first
    await deliver(ledger, "InvoiceSettled", "old", START + 700, received_at=shop.now)
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1)))))
    (kept,) = await ledger.rows(schema.invoice)
    assert (kept["settled_at"], kept["settled_at_approximate"]) == (START + 700, False)
    await ledger.see(shop.invoices_seen(invoice("old", payment(coin(1)), status="Invalid")))
    (kept,) = await ledger.rows(schema.invoice)
    assert (kept["settled_at"], kept["settled_at_approximate"]) == (None, False)


async def test_deliveries_are_acted_on_once_and_go_in_time(
    ledger: Ledger, shop: StoreObservations
) -> None:
    view = RecordView(ledger.engine, finality=100)
    for number in range(3):
        await deliver(ledger, "InvoiceCreated", "old", START + number)
    first, second, third = await view.pending_deliveries("shop", 10)
    assert (first.type, first.invoice_id, first.received_at) == ("InvoiceCreated", "old", START)
    assert await view.pending_deliveries("shop", 1) == (first,)
    await ledger.see(shop.deliveries_done({first.id: "applied", second.id: "ignored"}))
    assert await view.pending_deliveries("shop", 10) == (third,)
    at = shop.now
    await ledger.see(shop.deliveries_done({first.id: "again"}))
    rows = {row["id"]: row for row in await ledger.rows(schema.delivery)}
    assert (rows[first.id]["result"], rows[first.id]["processed_at"]) == ("applied", at)
    async with ledger.engine.connect() as conn:
        shown = await delivery_items(conn, [second.id, third.id, 999])
    assert [delivery.result for delivery in shown.values()] == ["ignored", None]
    assert set(msgspec.to_builtins(shown[third.id])) == {
        "store",
        "delivery_id",
        "original_delivery_id",
        "type",
        "invoice_id",
        "sent_at",
        "received_at",
        "processed_at",
        "redelivery",
        "result",
    }
    assert await transact(ledger.engine, drop_old_deliveries, START + 1) == 1
    assert await transact(ledger.engine, drop_old_deliveries, START + 99) == 1
    assert [row["id"] for row in await ledger.rows(schema.delivery)] == [third.id]


async def test_a_follower_finds_what_to_ask_for(ledger: Ledger, shop: StoreObservations) -> None:
    view = RecordView(ledger.engine, finality=100)
    swept_at = await view.swept_at("shop")
    assert swept_at == shop.now - 2
    await ledger.see(
        shop.invoices_seen(
            invoice("busy", payment(coin(1), status="Processing"), status="Processing"),
            invoice("late", payment(coin(2)), status="Expired", expires_at=START + 500),
            invoice("cold", status="Expired", expires_at=START + 100),
            invoice("half", payment(coin(3), status="Processing"), status="Invalid"),
            invoice("done", payment(coin(4)), payment(coin(5), status="Invalid")),
        )
    )
    assert await view.open_invoices("shop") == ("busy", "old")
    assert await view.late_invoices("shop", START + 500) == ("busy", "half", "late")
    assert await view.counting_payments("shop", ["done", "cold", "busy"]) == {
        "done": frozenset({("BTC-CHAIN", coin(4))}),
        "busy": frozenset({("BTC-CHAIN", coin(1))}),
    }
    assert (await view.invoice_count("shop"), await view.invoice_count("stall")) == (6, 0)
    assert await view.swept_at("stall") is None
    assert await view.interrupted_sweep("shop") is None
    await ledger.see(SweepReached("shop", shop.now, shop.now - 60, START + 900))
    await ledger.see(SweepReached("shop", shop.now, shop.now - 60, START + 300))
    found = await view.interrupted_sweep("shop")
    assert found is not None
    assert (found.began_at, found.end) == (shop.now - 60, START + 300)
    await ledger.see(shop.sweep_done("recent"))
    assert await view.swept_at("shop") == swept_at
    await ledger.see(shop.sweep_done("full", shop.now))
    assert await view.interrupted_sweep("shop") is None
    assert await view.open_invoices("shop") == ()  # the sweep has shown none of them
    assert await view.refresh_requested_at() is None
    async with ledger.engine.begin() as conn:
        await conn.execute(schema.refresh.insert().values(id=1, requested_at=START))
    assert await view.refresh_requested_at() == START

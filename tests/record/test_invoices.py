"""Invoices: the newest answer holds, each payment counts once, whatever came in whatever order."""

import itertools
import json
from typing import Any

import pytest
from tests.record.conftest import Ledger
from tests.record.ledger_reads import assert_consistent, counted, item, row
from tests.rig import vectors
from tests.rig.store_observations import START, StoreObservations, coin, invoice, payment

from raised.btcpay.client.invoices_json import parse_invoice, parse_payments
from raised.btcpay.client.json_fields import parse_rows, read_json
from raised.db import schema
from raised.domain.btcpay.invoice import Invoice, Payment
from raised.domain.observation import InvoicesGone, Observation

VECTORS = vectors.BTCPAY


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
def shop() -> StoreObservations:
    return StoreObservations()


async def told(ledger: Ledger) -> list[tuple[str, str]]:
    return [(change["type"], change["reference"]) for change in await ledger.changes()]


async def test_a_settled_payment_is_booked_summed_and_told(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(
        shop.invoices_seen(invoice("one", payment(coin(1)), metadata={"orderId": "ICE-1"}))
    )
    (booked,) = await ledger.rows(schema.movement)
    assert (booked["kind"], booked["amount_msats"]) == ("payment", 100_000_000)
    assert (booked["source"], booked["store"], booked["invoice_id"]) == ("btcpay", "shop", "one")
    assert (booked["reference"], booked["txid"]) == (coin(1), coin(1)[:64])
    assert (booked["at"], booked["recorded_at"]) == (START + 100, shop.now)
    assert (booked["height"], booked["block_hash"], booked["project_id"]) == (None, None, None)
    (hour,) = await ledger.rows(schema.hour_total)
    assert (hour["owner"], hour["source"], hour["amount_msats"]) == ("shop", "btcpay", 100_000_000)
    kept = await row(ledger, "one")
    assert (kept["counted_msats"], kept["pending_msats"]) == (100_000_000, 0)
    assert kept["first_counted_at"] == START + 100
    changes = await ledger.changes()
    assert [change["type"] for change in changes] == [
        "invoice.settled",
        "payment.settled",
        "movement",
    ]
    assert {change["campaign"] for change in changes} == {"shop"}
    assert {change["source"] for change in changes} == {"btcpay"}
    assert [change["reference"] for change in changes] == ["shop/one", coin(1), coin(1)]
    shown = await item(ledger, "one")
    assert shown["order_id"] == "ICE-1"
    assert shown["metadata"] == {}  # nobody has put the key on the list
    assert shown["payments"][0]["counted"] is True
    assert shown["payments"][0]["movement_id"] == booked["id"]
    # what is told names the row that was booked in the same transaction
    assert changes[0]["data"] == changes[1]["data"] == shown
    assert changes[2]["data"]["campaign"] == "shop"
    await assert_consistent(ledger)


async def test_the_accounting_of_the_vectors_comes_out(
    ledger: Ledger, shop: StoreObservations
) -> None:
    """Every invoice of the list, with the payments of its methods, as one answer."""
    expected = json.loads((VECTORS / "expected_accounting.json").read_text())["invoices"]
    invoices = [_of_vector(vector, place) for place, vector in enumerate(expected)]
    await ledger.see(shop.invoices_seen(*invoices, origin="full"))
    for vector in expected:
        kept = await row(ledger, vector["invoiceId"])
        shown = await item(ledger, vector["invoiceId"])
        assert kept["counted_msats"] == vector["settled_msat"], vector["key"]
        assert kept["pending_msats"] == vector["processing_msat"], vector["key"]
        assert shown["received_sats"] == vector["settled_sats_floor"]
        assert shown["pending_sats"] == vector["processing_sats_floor"]
        assert (shown["archived"], shown["paid_amount"]) == (
            vector["archived"],
            vector["paidAmount"],
        )
    await assert_consistent(ledger)


async def test_what_a_server_sends_comes_out_exactly(
    ledger: Ledger, shop: StoreObservations
) -> None:
    """From the bytes of a list with its payment methods to the millisatoshis of the ledger."""
    expected = json.loads((VECTORS / "expected_accounting.json").read_text())["invoices"]
    sent = (VECTORS / "invoice_list_with_payment_methods_2.4.1.json").read_bytes()
    read = parse_rows(read_json(sent), lambda one: parse_invoice(one, (), one.text("storeId")))
    assert (len(read.rows), read.unreadable) == (4, 0)
    await ledger.see(shop.invoices_seen(*read.rows))
    by_id = {one["invoiceId"]: one for one in expected}
    for one in read.rows:
        kept = await row(ledger, one.id)
        assert kept["counted_msats"] == by_id[one.id]["settled_msat"]
        assert kept["pending_msats"] == by_id[one.id]["processing_msat"]
    await assert_consistent(ledger)


async def test_a_payment_that_was_replaced_on_the_way_is_out_of_all_sums(
    ledger: Ledger, shop: StoreObservations
) -> None:
    """First with every payment, then with those that count: the same invoice, the same sums."""
    sums = []
    for name in ("rbf_all_payments_2.x", "rbf_only_accounted_2.x"):
        sent = (VECTORS / "payment_methods" / f"{name}.json").read_bytes()
        read = parse_payments(read_json(sent))
        await ledger.see(shop.invoices_seen(invoice("one", *read.rows, status="Processing")))
        kept = await row(ledger, "one")
        sums.append((kept["counted_msats"], kept["pending_msats"]))
        await assert_consistent(ledger)
    assert sums[0] == sums[1]
    assert sum(sums[0]) > 0
    statuses = [row["status"] for row in await ledger.rows(schema.invoice_payment)]
    assert statuses.count("Invalid") == 1


def _of_vector(one: Any, place: int) -> Invoice:
    """An invoice that was paid what is expected: whole sats by the chain, millisats off it."""
    found: list[Payment] = []
    for status, name in (("Settled", "settled_msat"), ("Processing", "processing_msat")):
        amount = one[name]
        number = place * 4 + len(found) * 2
        text = f"{amount // 10**11}.{amount % 10**11:011d}"
        if amount:
            method = "BTC-LN" if amount % 1000 else "BTC-CHAIN"
            reference = coin(number) if method == "BTC-CHAIN" else f"{number:064x}"
            found.append(payment(reference, text, status, method=method))  # type: ignore[arg-type]
    for number in range(one["invalid_payments_ignored"]):
        found.append(payment(coin(1000 + place, number), "1", "Invalid"))
    return invoice(
        one["invoiceId"],
        *found,
        status=one["status"],
        additional_status=one["additionalStatus"],
        currency=one["currency"],
        paid_amount=one["paidAmount"],
        archived=one["archived"],
    )


async def test_a_payment_that_stops_counting_is_reversed_and_kept(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)), payment(coin(2), "0.5"))))
    replaced = payment(coin(1), status="Invalid")
    await ledger.see(
        shop.invoices_seen(invoice("one", replaced, payment(coin(2), "0.5"), status="Processing"))
    )
    assert await counted(ledger) == {"shop/one": 50_000_000_000}
    undone = [row for row in await ledger.rows(schema.movement) if row["kind"] == "reversal"]
    assert [(one["amount_msats"], one["at"]) for one in undone] == [(100_000_000, START + 100)]
    assert ("payment.invalid", coin(1)) in await told(ledger)
    shown = await item(ledger, "one")
    assert [payment["status"] for payment in shown["payments"]] == ["Invalid", "Settled"]
    assert [payment["counted"] for payment in shown["payments"]] == [False, True]
    assert (await ledger.changes())[-1]["data"]["campaign"] == "shop"
    await assert_consistent(ledger)


async def test_a_payment_that_the_answer_lacks_counts_no_more(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    await ledger.see(shop.invoices_seen(invoice("one", status="New")))
    assert await counted(ledger) == {}
    assert (await ledger.rows(schema.invoice_payment))[0]["status"] == "Invalid"
    kept = await row(ledger, "one")
    assert (kept["counted_msats"], kept["first_counted_at"]) == (0, None)
    assert await ledger.rows(schema.hour_total) == []
    await assert_consistent(ledger)


async def test_an_answer_that_tells_no_payments_or_not_all_takes_none_away(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    await ledger.see(shop.invoices_seen(invoice("one", payments=None, status="Settled")))
    await ledger.see(shop.invoices_seen(invoice("one", status="Settled", unreadable_payments=1)))
    assert await counted(ledger) == {"shop/one": 100_000_000}
    await assert_consistent(ledger)


async def test_a_replaced_payment_gives_way_to_the_one_that_replaced_it(
    ledger: Ledger, shop: StoreObservations
) -> None:
    waiting = payment(coin(1), status="Processing")
    await ledger.see(shop.invoices_seen(invoice("one", waiting, status="Processing")))
    assert (await row(ledger, "one"))["pending_msats"] == 100_000_000
    other = payment(coin(2), "0.0011", "Processing")
    await ledger.see(
        shop.invoices_seen(
            invoice("one", payment(coin(1), status="Invalid"), other, status="Processing")
        )
    )
    assert (await row(ledger, "one"))["pending_msats"] == 110_000_000
    assert await ledger.rows(schema.movement) == []
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(2), "0.0011"))))
    kept = await row(ledger, "one")
    assert (kept["counted_msats"], kept["pending_msats"]) == (110_000_000, 0)
    assert [one for one in await told(ledger) if one[0].startswith("payment.")] == [
        ("payment.pending", coin(1)),
        ("payment.invalid", coin(1)),
        ("payment.pending", coin(2)),
        ("payment.settled", coin(2)),
    ]
    await assert_consistent(ledger)


@pytest.mark.parametrize(
    ("status", "additional"),
    [("Expired", "PaidLate"), ("Expired", "PaidPartial"), ("Invalid", "Marked"), ("New", "None")],
)
async def test_money_counts_whatever_its_invoice_is(
    ledger: Ledger, shop: StoreObservations, status: str, additional: str
) -> None:
    late = invoice("one", payment(coin(1)), status=status, additional_status=additional)
    await ledger.see(shop.invoices_seen(late))
    assert await counted(ledger) == {"shop/one": 100_000_000}
    assert (await told(ledger))[0][0] == f"invoice.{status.lower()}"


async def test_a_settled_invoice_without_payments_is_no_money(
    ledger: Ledger, shop: StoreObservations
) -> None:
    marked = invoice("one", status="Settled", additional_status="Marked")
    await ledger.see(shop.invoices_seen(marked))
    assert await ledger.rows(schema.movement) == []
    assert (await row(ledger, "one"))["counted_msats"] == 0


async def test_another_coin_is_shown_and_never_counted(
    ledger: Ledger, shop: StoreObservations
) -> None:
    litecoin = payment(coin(1), "0.5", currency="LTC", method="LTC-CHAIN")
    await ledger.see(shop.invoices_seen(invoice("one", litecoin)))
    shown = await item(ledger, "one")
    assert (shown["payments"][0]["value"], shown["payments"][0]["value_msats"]) == ("0.5", None)
    assert (shown["payments"][0]["counted"], shown["received_sats"]) == (False, 0)
    assert await ledger.rows(schema.movement) == []
    await assert_consistent(ledger)


async def test_millisatoshis_are_kept_and_floored_once(
    ledger: Ledger, shop: StoreObservations
) -> None:
    parts = [payment(f"{number:064x}", "0.00000000999") for number in range(3)]
    await ledger.see(shop.invoices_seen(invoice("one", *parts)))
    assert (await row(ledger, "one"))["counted_msats"] == 2997
    assert (await item(ledger, "one"))["received_sats"] == 2


async def test_an_older_answer_changes_nothing(ledger: Ledger, shop: StoreObservations) -> None:
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    before, told_before = await ledger.rows(schema.invoice), await told(ledger)
    await ledger.see(shop.invoices_seen(invoice("one"), asked_at=shop.now - 2))
    assert await ledger.rows(schema.invoice) == before
    assert await told(ledger) == told_before


async def test_a_clock_that_was_ahead_does_not_make_us_deaf(
    ledger: Ledger, shop: StoreObservations
) -> None:
    ahead = StoreObservations("shop", shop.now + 31_536_000)
    await ledger.see(ahead.invoices_seen(invoice("one"), origin="full"), ahead.sweep_done())
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))), shop.sweep_done())
    assert await counted(ledger) == {"shop/one": 100_000_000}
    (cursor,) = await ledger.rows(schema.cursor)
    assert (cursor["value"], cursor["full_at"]) == (shop.now, shop.now)


async def test_seeing_the_same_again_moves_nothing_but_when_it_was_seen(
    ledger: Ledger, shop: StoreObservations
) -> None:
    shown = [invoice("one", payment(coin(1))), invoice("two"), invoice("three", status="Expired")]
    await ledger.see(shop.invoices_seen(*shown))
    before = {name: await ledger.rows(schema.metadata.tables[name]) for name in _KEPT}
    await ledger.see(shop.invoices_seen(*shown, origin="active"))
    after = {name: await ledger.rows(schema.metadata.tables[name]) for name in _KEPT}
    for stored in after["invoice"]:
        assert (stored["asked_at"], stored["seen_at"]) == (shop.now - 1, shop.now)
    for rows in (*before.values(), *after.values()):
        for stored in rows:
            stored.pop("asked_at", None)
            stored.pop("seen_at", None)
    assert after == before


_KEPT = ("invoice", "invoice_payment", "movement", "hour_total", "change", "counter")


async def test_whatever_an_item_shows_is_told_when_it_changes(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("one")))
    await ledger.see(shop.invoices_seen(invoice("one", archived=True)))
    await ledger.see(InvoicesGone("shop", shop.now, ("one", "unknown")))
    await ledger.see(InvoicesGone("shop", shop.now, ("one",)))
    assert await told(ledger) == [("invoice.new", "shop/one")] * 3
    changes = await ledger.changes()
    assert [change["data"]["archived"] for change in changes] == [False, True, True]
    assert [change["data"]["missing_upstream"] for change in changes] == [False, False, True]
    await ledger.see(shop.invoices_seen(invoice("one", archived=True)))
    assert (await item(ledger, "one"))["missing_upstream"] is False


async def test_a_full_sweep_finds_what_is_missing_and_keeps_it_in_the_totals(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(shop.invoices_seen(invoice("gone", payment(coin(1))), invoice("here")))
    began_at = shop.now + 1
    shop.now += 5
    await ledger.see(
        shop.invoices_seen(invoice("here"), origin="full"), shop.sweep_done("recent", began_at)
    )
    assert not (await row(ledger, "gone"))["missing_upstream"]
    await ledger.see(shop.sweep_done("full", began_at, since=START + 1))
    assert not (await row(ledger, "gone"))["missing_upstream"]  # not within the window
    await ledger.see(shop.sweep_done("full", began_at))
    assert (await row(ledger, "gone"))["missing_upstream"]
    assert not (await row(ledger, "here"))["missing_upstream"]
    assert await counted(ledger) == {"shop/gone": 100_000_000}
    await ledger.see(shop.invoices_seen(invoice("gone", payment(coin(1)))))
    assert not (await row(ledger, "gone"))["missing_upstream"]
    await assert_consistent(ledger)


async def test_the_order_of_what_is_told_does_not_matter(
    ledger: Ledger, second_ledger: Ledger
) -> None:
    """Two stores that share a coin are apart in this: there the first that was booked keeps it."""
    states = []
    news: list[Observation] = [
        StoreObservations("shop", START).invoices_seen(
            invoice("one", payment(coin(1), status="Processing"))
        ),
        StoreObservations("shop", START + 10).invoices_seen(
            invoice("one", payment(coin(1)), payment(coin(2)))
        ),
        StoreObservations("shop", START + 20).invoices_seen(
            invoice("one", payment(coin(2)), payment(coin(3)))
        ),
        StoreObservations("stall", START + 5).invoices_seen(
            invoice("two", payment(coin(1), status="Processing"))
        ),
    ]
    second_ledger.policy = ledger.policy
    for record, order in ((ledger, news), (second_ledger, news[::-1])):
        for one in order:
            await record.see(one)
        await assert_consistent(record)
        states.append((await counted(record), (await row(record, "two", "stall"))["pending_msats"]))
    # Both know what counts; that coin 1 was ever offered to the shop only one of them has heard.
    assert states[0] == states[1]


async def test_any_cut_between_transactions_ends_in_the_same_record(
    ledger: Ledger, second_ledger: Ledger, shop: StoreObservations
) -> None:
    """What is applied again after a crash, and what waited together, makes no difference."""
    second_ledger.policy = ledger.policy
    steps: list[Observation] = [
        shop.invoices_seen(invoice("one", payment(coin(1), status="Processing")), invoice("two")),
        shop.invoices_seen(invoice("one", payment(coin(1))), invoice("two", payment(coin(2)))),
        shop.invoices_seen(invoice("one", payment(coin(1), status="Invalid"), payment(coin(3)))),
        InvoicesGone("shop", shop.now, ("two",)),
        shop.sweep_done("full", shop.now),
    ]
    for before, after in itertools.pairwise([None, *steps]):
        for one in (before, after, after):
            if one is not None:
                await ledger.see(one)
        await assert_consistent(ledger)
    await second_ledger.see_at_once(steps)
    await assert_consistent(second_ledger)
    assert await ledger.state() == await second_ledger.state()

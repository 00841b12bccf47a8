"""Deliveries ring, fetches tell: any order, any number, and nothing lost in between."""

import asyncio
import itertools
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.canned_greenfield import VECTORS, vector
from tests.rig.fake_greenfield import BELOW, BROKEN, GONE, UNAUTHENTICATED, forbidden, payment
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.domain.observation import DeliveriesDone, InvoicesGone, InvoicesSeen, RefundsSeen
from raised_simnet.http.http_server import Request, Response

ONE = "/invoices/"


@pytest.fixture
def shop(shop: FollowedStore) -> FollowedStore:
    """One whose sweeps have nothing big to do."""
    shop.ledger.swept = shop.now - 100
    return shop


def single(request: Request) -> str | None:
    """The invoice that is asked for by itself."""
    invoice_id = request.path.removeprefix(f"{BELOW}/invoices/")
    return None if invoice_id == request.path or "/" in invoice_id else invoice_id


def body(name: str) -> Any:
    return json.loads((VECTORS / "webhooks" / f"{name}.json").read_text())


def rows_of(shop: FollowedStore, invoice_id: str) -> list[str]:
    return [
        one.status
        for seen in shop.ledger.of(InvoicesSeen)
        if seen.origin == "delivery"
        for one in seen.invoices
        if one.id == invoice_id
    ]


@pytest.mark.parametrize("sequence", vector("webhook_sequences"), ids=lambda one: one["name"])
async def test_events_in_any_order_and_number_end_in_the_final_state(
    shop: FollowedStore, sequence: Any
) -> None:
    final = sequence["final"]
    shop.till.add(final["invoiceId"], final["status"], additionalStatus=final["additionalStatus"])
    events = [body(name) for name in sequence["order_sent"]]
    orders = list(itertools.islice(itertools.permutations(events), 6))
    async with shop.follow():
        for order in orders:
            for event in [*order, order[0]]:
                shop.ledger.ring(event["type"], event["invoiceId"])
        await shop.until(lambda: len(shop.ledger.results) == len(shop.ledger.inbox))
    held = shop.ledger.invoices[final["invoiceId"]]
    assert (held.status, held.additional_status) == (final["status"], final["additionalStatus"])
    assert set(shop.ledger.results.values()) == {"applied"}


async def test_a_state_that_moves_between_events_ends_as_the_server_last_showed_it(
    shop: FollowedStore,
) -> None:
    shop.till.add("abc", "New")
    async with shop.follow():
        for status in ("Processing", "New", "Processing", "Settled"):
            shop.till.add("abc", status)
            row = shop.ledger.ring("InvoiceProcessing", "abc")
            await shop.until(lambda: row in shop.ledger.results)  # noqa: B023 - ends with the turn
            assert shop.ledger.invoices["abc"].status == status


async def test_repeated_events_of_one_invoice_are_one_fetch(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    for _ in range(20):
        shop.ledger.ring("InvoiceSettled", "abc")
    async with shop.follow():
        await shop.until(lambda: len(shop.ledger.results) == 20)
    assert shop.till.count("/invoices/abc") == 1


async def test_an_invoice_is_fetched_again_after_its_last_event(shop: FollowedStore) -> None:
    """The first answer may be older than the event (btcpay.md 8)."""
    shop.pauses = replace(FAST_TIMING, echo=0.05)
    shop.till.add("abc", "New")
    async with shop.follow():
        await shop.begun()
        shop.ledger.ring("InvoiceReceivedPayment", "abc", at=shop.now)
        await shop.until(lambda: shop.ledger.results)
        shop.till.add("abc", "Processing")
        await shop.until(lambda: shop.ledger.invoices["abc"].status == "Processing")
    assert rows_of(shop, "abc") == ["New", "Processing"]
    assert len(shop.ledger.of(DeliveriesDone)) == 1


async def test_an_event_that_waited_for_long_is_not_asked_for_twice(shop: FollowedStore) -> None:
    shop.pauses = replace(FAST_TIMING, echo=0.01)
    shop.till.add("abc", "Settled")
    shop.ledger.ring("InvoiceSettled", "abc", at=shop.now - 100)
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
        await asyncio.sleep(0.05)
    assert shop.till.count("/invoices/abc") == 1


async def test_fetches_of_one_invoice_go_one_at_a_time_and_two_of_a_store(
    shop: FollowedStore,
) -> None:
    invoices = ["a1", "b2", "c3", "d4"]
    inside: list[str] = []
    most: list[int] = []
    twice: list[str] = []
    for one in invoices:
        shop.till.add(one, "Settled")

    async def slowly(request: Request) -> None:
        invoice_id = single(request)
        if invoice_id is None:
            return
        twice.extend([invoice_id] if invoice_id in inside else [])
        inside.append(invoice_id)
        most.append(len(inside))
        await asyncio.sleep(0.02)
        inside.remove(invoice_id)

    shop.till.before = slowly
    async with shop.follow():
        for _ in range(3):
            for one in invoices:
                shop.ledger.ring("InvoiceSettled", one)
            await asyncio.sleep(0.015)
        await shop.until(lambda: len(shop.ledger.results) == 12)
    assert max(most) == 2
    assert not twice


async def test_what_asks_for_nothing_is_done_without_a_fetch(shop: FollowedStore) -> None:
    test = body("test_event_pre_2.3")
    expected = {
        shop.ledger.ring(test["type"], test["invoiceId"]): "test",
        shop.ledger.ring("PaymentRequestCreated", None): "ignored",
        shop.ledger.ring("SubscriberCreated", None): "ignored",
        shop.ledger.ring("NeverHeardOf", None): "ignored",
        shop.ledger.ring("PendingTransactionCreated", None): "ignored",
    }
    async with shop.follow():
        await shop.until(lambda: len(shop.ledger.results) == len(expected))
    assert shop.ledger.results == expected
    assert shop.till.count(ONE) == 0


async def test_an_unknown_event_of_an_invoice_has_it_looked_at(shop: FollowedStore) -> None:
    event = body("unknown_future_type")
    shop.till.add(event["invoiceId"], "Settled")
    row = shop.ledger.ring(event["type"], event["invoiceId"])
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
    assert shop.ledger.results[row] == "applied"
    assert event["invoiceId"] in shop.ledger.invoices


@pytest.mark.parametrize("answer", [GONE, forbidden("btcpay.store.canviewinvoices")])
async def test_an_invoice_the_server_does_not_show_is_gone_where_the_list_works(
    shop: FollowedStore, answer: Response
) -> None:
    """2.4+ answers 403 for what it does not have (btcpay.md 9.2)."""
    shop.till.tricks.append(lambda request: answer if single(request) == "lost" else None)
    row = shop.ledger.ring("InvoiceSettled", "lost")
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
    assert shop.ledger.results == {row: "gone"}
    assert [one.ids for one in shop.ledger.of(InvoicesGone)] == [("lost",)]
    assert shop.ledger.health.state == "ok"


async def test_an_invoice_is_not_gone_when_the_permission_is(shop: FollowedStore) -> None:
    lost = [False]
    refusal = forbidden("btcpay.store.canviewinvoices")
    shop.till.tricks.append(
        lambda request: refusal if lost[0] and request.path.startswith(BELOW) else None
    )
    shop.till.add("abc", "Settled")
    async with shop.follow():
        await shop.begun()
        lost[0] = True
        shop.ledger.ring("InvoiceSettled", "abc")
        await shop.until(lambda: shop.ledger.trouble == "missing_permission")
        assert not shop.ledger.results
        lost[0] = False
        await shop.until(lambda: shop.ledger.results)
    assert set(shop.ledger.results.values()) == {"applied"}
    assert not shop.ledger.of(InvoicesGone)


async def test_what_the_record_has_not_written_yet_is_not_asked_for_again(
    shop: FollowedStore,
) -> None:
    shop.till.add("abc", "Settled")
    async with shop.follow():
        await shop.begun()
        await shop.until(lambda: shop.ledger.health.facts.get("refunds_visible"))
        shop.commits.clear()
        shop.ledger.ring("InvoiceSettled", "abc")
        await shop.until(lambda: shop.till.count("/invoices/abc"))
        await asyncio.sleep(0.1)
        assert shop.till.count("/invoices/abc") == 1
        shop.commits.set()
        await shop.until(lambda: shop.ledger.results)


async def test_a_delivery_that_waits_once_more_is_acted_on_once_more(shop: FollowedStore) -> None:
    """As after a backup was restored."""
    shop.till.add("abc", "Settled")
    row = shop.ledger.ring("InvoiceSettled", "abc")
    async with shop.follow():
        for _ in range(2):
            await shop.until(lambda: row in shop.ledger.results)
            await asyncio.sleep(0.05)
            del shop.ledger.results[row]
        await shop.until(lambda: row in shop.ledger.results)


async def test_a_server_that_is_away_loses_no_delivery(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    async with shop.follow():
        await shop.begun()
        shop.till.refuse(refuse=True)
        shop.ledger.ring("InvoiceSettled", "abc")
        await shop.until(lambda: shop.ledger.health.state == "down")
        assert not shop.ledger.results
        shop.till.refuse(refuse=False)
        await shop.until(lambda: shop.ledger.results and shop.ledger.health.state == "ok")
    assert shop.ledger.invoices["abc"].status == "Settled"


async def test_an_invoice_that_cannot_be_read_keeps_its_place_and_holds_up_nobody(
    shop: FollowedStore,
) -> None:
    for one in ("bad", "good"):
        shop.till.add(one, "Settled")
    broken = [True]

    def trick(request: Request) -> Response | None:
        is_bad = single(request) == "bad" and broken[0]
        return Response(200, b'{"id": 7}', "application/json") if is_bad else None

    shop.till.tricks.append(trick)
    bad = shop.ledger.ring("InvoiceSettled", "bad")
    good = shop.ledger.ring("InvoiceSettled", "good")
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "bad_rows" and shop.ledger.results)
        assert shop.ledger.results == {good: "applied"}
        assert shop.ledger.health.state == "degraded"
        broken[0] = False
        await shop.until(lambda: bad in shop.ledger.results and shop.ledger.health.state == "ok")
    assert shop.ledger.invoices["bad"].status == "Settled"


@pytest.mark.parametrize("answer", [BROKEN, Response(500), Response(429, b"slow down")])
async def test_a_busy_server_is_asked_again(shop: FollowedStore, answer: Response) -> None:
    shop.till.add("abc", "Settled")
    left = [7]

    def trick(request: Request) -> Response | None:
        if single(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    shop.till.tricks.append(trick)
    shop.ledger.ring("InvoiceSettled", "abc")
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
    assert shop.till.count("/invoices/abc") == 8


@pytest.mark.parametrize(
    "answer",
    [
        Response(400, b'{"code":"x","message":"y"}', "application/json"),
        Response(409, b'{"code":"webhookdelivery-pruned"}', "application/json"),
        Response(422, b'[{"path":"x","message":"y"}]', "application/json"),
        Response(404, content_type=""),
    ],
    ids=lambda one: str(one.status),
)
async def test_a_refused_question_keeps_its_place(shop: FollowedStore, answer: Response) -> None:
    shop.till.add("abc", "Settled")
    left = [2]

    def trick(request: Request) -> Response | None:
        if single(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    shop.till.tricks.append(trick)
    shop.ledger.ring("InvoiceSettled", "abc")
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
    assert set(shop.ledger.results.values()) == {"applied"}


async def test_a_refused_key_leaves_everything_in_the_inbox(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    refused = [False]
    shop.till.tricks.append(lambda _: UNAUTHENTICATED if refused[0] else None)
    async with shop.follow():
        await shop.begun()
        refused[0] = True
        shop.ledger.ring("InvoiceSettled", "abc")
        await shop.until(lambda: shop.ledger.health.state == "down")
        assert not shop.ledger.results
        refused[0] = False
        await shop.until(lambda: shop.ledger.results)
    assert set(shop.ledger.results.values()) == {"applied"}


async def test_killed_between_fetch_and_result_it_fetches_again(shop: FollowedStore) -> None:
    shop.till.add("abc", "Processing")
    row = shop.ledger.ring("InvoiceProcessing", "abc")
    committed = shop.ledger.commit

    def die(observation: object) -> None:
        if isinstance(observation, DeliveriesDone):
            shop.commits.clear()  # nothing is written any more
            return
        committed(observation)  # type: ignore[arg-type]

    shop.ledger.commit = die  # type: ignore[method-assign]
    async with shop.follow():
        await shop.until(lambda: not shop.commits.is_set())
    assert not shop.ledger.results
    shop.ledger.commit = committed  # type: ignore[method-assign]
    shop.commits.set()
    shop.till.add("abc", "Settled")
    async with shop.follow():
        await shop.until(lambda: shop.ledger.results)
    assert shop.ledger.results == {row: "applied"}
    assert shop.ledger.invoices["abc"].status == "Settled"


async def test_a_refund_event_names_the_invoice_and_has_refunds_pulled(shop: FollowedStore) -> None:
    event = body("InvoiceRefund")
    shop.till.add(event["invoiceId"], "Settled")
    async with shop.follow():
        await shop.begun()
        shop.till.pull_payments = vector("pull_payments")
        pull = event["pullPaymentId"]
        shop.ledger.ring(event["type"], event["invoiceId"], pull=pull)
        await shop.until(lambda: shop.ledger.of(RefundsSeen)[-1].pull_payments)
    assert shop.ledger.refunds == {pull: event["invoiceId"]}
    assert set(shop.ledger.results.values()) == {"applied"}


async def test_a_payout_event_is_done_when_refunds_were_pulled(shop: FollowedStore) -> None:
    async with shop.follow():
        await shop.begun()
        shop.till.payouts = vector("payouts")
        row = shop.ledger.ring("PayoutUpdated", None, pull="4DebvnMPvNxLtsorc7vBCL8zAY9G")
        await shop.until(lambda: row in shop.ledger.results)
        assert [one.state for one in shop.ledger.of(RefundsSeen)[-1].payouts] == ["Completed"]
    assert shop.ledger.results[row] == "applied"


async def test_an_older_answer_does_not_undo_a_newer_one(shop: FollowedStore) -> None:
    """A page is asked first and answered last; the webhook's fetch has seen more."""
    shop.till.add("abc", "Processing")
    held_back, go_on = threading.Event(), threading.Event()

    async def late(request: Request) -> None:
        if "status=new" in request.target and not held_back.is_set():
            held_back.set()
            await asyncio.to_thread(go_on.wait, 5)

    shop.till.after = late
    async with shop.follow():
        await shop.until(held_back.is_set)
        shop.till.add("abc", "Settled")
        shop.ledger.ring("InvoiceSettled", "abc")
        await shop.until(lambda: shop.ledger.results)
        shop.ledger.asked_at.clear()  # both were asked in the same second
        go_on.set()
        await shop.until(lambda: shop.ledger.health.facts.get("last_pull_at"))
        await asyncio.sleep(0.05)
        assert shop.ledger.invoices["abc"].status == "Settled"


async def test_a_payment_that_was_replaced_is_asked_for_and_shown_invalid(
    shop: FollowedStore,
) -> None:
    shop.till.add("abc", "Processing")
    shop.till.pay("abc", payment(1, "Processing"))
    async with shop.follow():
        await shop.begun()
        await shop.until(lambda: shop.ledger.paid["abc"])
        shop.till.pay("abc", payment(1, "Invalid"), payment(2, "Processing", "0.002"))
        row = shop.ledger.ring("InvoiceReceivedPayment", "abc")
        await shop.until(lambda: row in shop.ledger.results)
    assert shop.till.count("/invoices/abc/payment-methods?onlyAccountedPayments=false") >= 1
    told = {
        one.id: one.status
        for seen in shop.ledger.of(InvoicesSeen)
        for invoice in seen.invoices
        for one in invoice.payments or ()
    }
    assert told == {f"{1:064x}:0": "Invalid", f"{2:064x}:0": "Processing"}

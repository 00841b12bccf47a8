"""Deliveries ring, fetches tell: any order, any number, and nothing lost in between."""

import asyncio
import itertools
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.canned_greenfield import VECTORS, vector
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.fake_greenfield import BELOW, BROKEN, GONE, UNAUTHENTICATED, forbidden, payment
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.domain.observation import DeliveriesDone, InvoicesGone, InvoicesSeen, RefundsSeen
from raised_simnet.http.http_server import Request, Response

ONE = "/invoices/"


@pytest.fixture
def store(store: FollowedStore) -> FollowedStore:
    """One whose sweeps have nothing big to do."""
    store.record.swept = store.now - 100
    return store


def single(request: Request) -> str | None:
    """The invoice that is asked for by itself."""
    invoice_id = request.path.removeprefix(f"{BELOW}/invoices/")
    return None if invoice_id == request.path or "/" in invoice_id else invoice_id


def body(name: str) -> Any:
    return json.loads((VECTORS / "webhooks" / f"{name}.json").read_text())


def rows_of(store: FollowedStore, invoice_id: str) -> list[str]:
    return [
        one.status
        for seen in store.record.published(InvoicesSeen)
        if seen.origin == "delivery"
        for one in seen.invoices
        if one.id == invoice_id
    ]


@pytest.mark.parametrize("sequence", vector("webhook_sequences"), ids=lambda one: one["name"])
async def test_events_in_any_order_and_number_end_in_the_final_state(
    store: FollowedStore, sequence: Any
) -> None:
    final = sequence["final"]
    store.server.add(
        final["invoiceId"], final["status"], additionalStatus=final["additionalStatus"]
    )
    events = [body(name) for name in sequence["order_sent"]]
    orders = list(itertools.islice(itertools.permutations(events), 6))
    async with store.follow():
        for order in orders:
            for event in [*order, order[0]]:
                store.record.deliver(event["type"], event["invoiceId"])
        await store.until(lambda: len(store.record.results) == len(store.record.inbox))
    held = store.record.invoices[final["invoiceId"]]
    assert (held.status, held.additional_status) == (final["status"], final["additionalStatus"])
    assert set(store.record.results.values()) == {"applied"}


async def test_a_state_that_moves_between_events_ends_as_the_server_last_showed_it(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "New")
    async with store.follow():
        for status in ("Processing", "New", "Processing", "Settled"):
            store.server.add("abc", status)
            row = store.record.deliver("InvoiceProcessing", "abc")
            await store.until(lambda: row in store.record.results)  # noqa: B023 - ends with the turn
            assert store.record.invoices["abc"].status == status


async def test_repeated_events_of_one_invoice_are_one_fetch(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    for _ in range(20):
        store.record.deliver("InvoiceSettled", "abc")
    async with store.follow():
        await store.until(lambda: len(store.record.results) == 20)
    assert store.server.count("/invoices/abc") == 1


async def test_an_invoice_is_fetched_again_after_its_last_event(store: FollowedStore) -> None:
    """The first answer may be older than the event (docs/btcpay.md 8)."""
    store.timing = replace(FAST_TIMING, refetch_delay=0.05)
    store.server.add("abc", "New")
    async with store.follow():
        await store.sweeps_started()
        store.record.deliver("InvoiceReceivedPayment", "abc", at=store.now)
        await store.until(lambda: store.record.results)
        store.server.add("abc", "Processing")
        await store.until(lambda: store.record.invoices["abc"].status == "Processing")
    assert rows_of(store, "abc") == ["New", "Processing"]
    assert len(store.record.published(DeliveriesDone)) == 1


async def test_an_event_that_waited_for_long_is_not_asked_for_twice(store: FollowedStore) -> None:
    store.timing = replace(FAST_TIMING, refetch_delay=0.01)
    store.server.add("abc", "Settled")
    store.record.deliver("InvoiceSettled", "abc", at=store.now - 100)
    async with store.follow():
        await store.until(lambda: store.record.results)
        await asyncio.sleep(0.05)
    assert store.server.count("/invoices/abc") == 1


async def test_fetches_of_one_invoice_go_one_at_a_time_and_two_of_a_store(
    store: FollowedStore,
) -> None:
    invoices = ["a1", "b2", "c3", "d4"]
    inside: list[str] = []
    most: list[int] = []
    twice: list[str] = []
    for one in invoices:
        store.server.add(one, "Settled")

    async def slowly(request: Request) -> None:
        invoice_id = single(request)
        if invoice_id is None:
            return
        twice.extend([invoice_id] if invoice_id in inside else [])
        inside.append(invoice_id)
        most.append(len(inside))
        await asyncio.sleep(0.02)
        inside.remove(invoice_id)

    store.server.before_answer = slowly
    async with store.follow():
        for _ in range(3):
            for one in invoices:
                store.record.deliver("InvoiceSettled", one)
            await asyncio.sleep(0.015)
        await store.until(lambda: len(store.record.results) == 12)
    assert max(most) == 2
    assert not twice


async def test_what_asks_for_nothing_is_done_without_a_fetch(store: FollowedStore) -> None:
    test = body("test_event_pre_2.3")
    expected = {
        store.record.deliver(test["type"], test["invoiceId"]): "test",
        store.record.deliver("PaymentRequestCreated", None): "ignored",
        store.record.deliver("SubscriberCreated", None): "ignored",
        store.record.deliver("NeverHeardOf", None): "ignored",
        store.record.deliver("PendingTransactionCreated", None): "ignored",
    }
    async with store.follow():
        await store.until(lambda: len(store.record.results) == len(expected))
    assert store.record.results == expected
    assert store.server.count(ONE) == 0


async def test_an_unknown_event_of_an_invoice_has_it_looked_at(store: FollowedStore) -> None:
    event = body("unknown_future_type")
    store.server.add(event["invoiceId"], "Settled")
    row = store.record.deliver(event["type"], event["invoiceId"])
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.record.results[row] == "applied"
    assert event["invoiceId"] in store.record.invoices


@pytest.mark.parametrize("answer", [GONE, forbidden("btcpay.store.canviewinvoices")])
async def test_an_invoice_the_server_does_not_show_is_gone_where_the_list_works(
    store: FollowedStore, answer: Response
) -> None:
    """2.4+ answers 403 for what it does not have (docs/btcpay.md 9.2)."""
    store.server.overrides.append(lambda request: answer if single(request) == "lost" else None)
    row = store.record.deliver("InvoiceSettled", "lost")
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.record.results == {row: "gone"}
    assert [one.ids for one in store.record.published(InvoicesGone)] == [("lost",)]
    assert store.record.health.state == "ok"


async def test_an_invoice_is_not_gone_when_the_permission_is(store: FollowedStore) -> None:
    lost = [False]
    refusal = forbidden("btcpay.store.canviewinvoices")
    store.server.overrides.append(
        lambda request: refusal if lost[0] and request.path.startswith(BELOW) else None
    )
    store.server.add("abc", "Settled")
    async with store.follow():
        await store.sweeps_started()
        lost[0] = True
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.problem_code == "missing_permission")
        assert not store.record.results
        lost[0] = False
        await store.until(lambda: store.record.results)
    assert set(store.record.results.values()) == {"applied"}
    assert not store.record.published(InvoicesGone)


async def test_what_the_record_has_not_written_yet_is_not_asked_for_again(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "Settled")
    async with store.follow():
        await store.sweeps_started()
        await store.until(lambda: store.record.health.facts.get("refunds_visible"))
        store.allow_commits.clear()
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.server.count("/invoices/abc"))
        await asyncio.sleep(0.1)
        assert store.server.count("/invoices/abc") == 1
        store.allow_commits.set()
        await store.until(lambda: store.record.results)


async def test_a_delivery_that_waits_once_more_is_acted_on_once_more(store: FollowedStore) -> None:
    """As after a backup was restored."""
    store.server.add("abc", "Settled")
    row = store.record.deliver("InvoiceSettled", "abc")
    async with store.follow():
        for _ in range(2):
            await store.until(lambda: row in store.record.results)
            await asyncio.sleep(0.05)
            del store.record.results[row]
        await store.until(lambda: row in store.record.results)


async def test_a_server_that_is_away_loses_no_delivery(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    async with store.follow():
        await store.sweeps_started()
        store.server.refuse(refuse=True)
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.health.state == "down")
        assert not store.record.results
        store.server.refuse(refuse=False)
        await store.until(lambda: store.record.results and store.record.health.state == "ok")
    assert store.record.invoices["abc"].status == "Settled"


async def test_an_invoice_that_cannot_be_read_keeps_its_place_and_holds_up_nobody(
    store: FollowedStore,
) -> None:
    for one in ("bad", "good"):
        store.server.add(one, "Settled")
    broken = [True]

    def trick(request: Request) -> Response | None:
        is_bad = single(request) == "bad" and broken[0]
        return Response(200, b'{"id": 7}', "application/json") if is_bad else None

    store.server.overrides.append(trick)
    bad = store.record.deliver("InvoiceSettled", "bad")
    good = store.record.deliver("InvoiceSettled", "good")
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "bad_rows" and store.record.results)
        assert store.record.results == {good: "applied"}
        assert store.record.health.state == "degraded"
        broken[0] = False
        await store.until(lambda: bad in store.record.results and store.record.health.state == "ok")
    assert store.record.invoices["bad"].status == "Settled"


@pytest.mark.parametrize("answer", [BROKEN, Response(500), Response(429, b"slow down")])
async def test_a_busy_server_is_asked_again(store: FollowedStore, answer: Response) -> None:
    store.server.add("abc", "Settled")
    left = [7]

    def trick(request: Request) -> Response | None:
        if single(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    store.server.overrides.append(trick)
    store.record.deliver("InvoiceSettled", "abc")
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.server.count("/invoices/abc") == 8


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
async def test_a_refused_question_keeps_its_place(store: FollowedStore, answer: Response) -> None:
    store.server.add("abc", "Settled")
    left = [2]

    def trick(request: Request) -> Response | None:
        if single(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    store.server.overrides.append(trick)
    store.record.deliver("InvoiceSettled", "abc")
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert set(store.record.results.values()) == {"applied"}


async def test_a_refused_key_leaves_everything_in_the_inbox(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    refused = [False]
    store.server.overrides.append(lambda _: UNAUTHENTICATED if refused[0] else None)
    async with store.follow():
        await store.sweeps_started()
        refused[0] = True
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.health.state == "down")
        assert not store.record.results
        refused[0] = False
        await store.until(lambda: store.record.results)
    assert set(store.record.results.values()) == {"applied"}


async def test_killed_between_fetch_and_result_it_fetches_again(store: FollowedStore) -> None:
    store.server.add("abc", "Processing")
    row = store.record.deliver("InvoiceProcessing", "abc")
    committed = store.record.commit

    def die(observation: object) -> None:
        if isinstance(observation, DeliveriesDone):
            store.allow_commits.clear()  # nothing is written any more
            return
        committed(observation)  # type: ignore[arg-type]

    store.record.commit = die  # type: ignore[method-assign]
    async with store.follow():
        await store.until(lambda: not store.allow_commits.is_set())
    assert not store.record.results
    store.record.commit = committed  # type: ignore[method-assign]
    store.allow_commits.set()
    store.server.add("abc", "Settled")
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.record.results == {row: "applied"}
    assert store.record.invoices["abc"].status == "Settled"


async def test_a_refund_event_names_the_invoice_and_has_refunds_pulled(
    store: FollowedStore,
) -> None:
    event = body("InvoiceRefund")
    store.server.add(event["invoiceId"], "Settled")
    async with store.follow():
        await store.sweeps_started()
        store.server.pull_payments = vector("pull_payments")
        pull = event["pullPaymentId"]
        store.record.deliver(event["type"], event["invoiceId"], pull=pull)
        await store.until(lambda: store.record.published(RefundsSeen)[-1].pull_payments)
    assert store.record.refunds == {pull: event["invoiceId"]}
    assert set(store.record.results.values()) == {"applied"}


async def test_a_payout_event_is_done_when_refunds_were_pulled(store: FollowedStore) -> None:
    async with store.follow():
        await store.sweeps_started()
        store.server.payouts = vector("payouts")
        row = store.record.deliver("PayoutUpdated", None, pull="4DebvnMPvNxLtsorc7vBCL8zAY9G")
        await store.until(lambda: row in store.record.results)
        assert [one.state for one in store.record.published(RefundsSeen)[-1].payouts] == [
            "Completed"
        ]
    assert store.record.results[row] == "applied"


async def test_an_older_answer_does_not_undo_a_newer_one(store: FollowedStore) -> None:
    """A page is asked first and answered last; the webhook's fetch has seen more."""
    store.server.add("abc", "Processing")
    held_back, go_on = threading.Event(), threading.Event()

    async def late(request: Request) -> None:
        if "status=new" in request.target and not held_back.is_set():
            held_back.set()
            await asyncio.to_thread(go_on.wait, DEADLINE_SECONDS)

    store.server.after_answer = late
    async with store.follow():
        await store.until(held_back.is_set)
        store.server.add("abc", "Settled")
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.results)
        store.record.asked_at.clear()  # both were asked in the same second
        go_on.set()
        await store.until(lambda: store.record.health.facts.get("last_pull_at"))
        await asyncio.sleep(0.05)
        assert store.record.invoices["abc"].status == "Settled"


async def test_a_payment_that_was_replaced_is_asked_for_and_shown_invalid(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "Processing")
    store.server.pay("abc", payment(1, "Processing"))
    async with store.follow():
        await store.sweeps_started()
        await store.until(lambda: store.record.payments["abc"])
        store.server.pay("abc", payment(1, "Invalid"), payment(2, "Processing", "0.002"))
        row = store.record.deliver("InvoiceReceivedPayment", "abc")
        await store.until(lambda: row in store.record.results)
    assert store.server.count("/invoices/abc/payment-methods?onlyAccountedPayments=false") >= 1
    observations = {
        one.id: one.status
        for seen in store.record.published(InvoicesSeen)
        for invoice in seen.invoices
        for one in invoice.payments or ()
    }
    assert observations == {f"{1:064x}:0": "Invalid", f"{2:064x}:0": "Processing"}

"""Deliveries in any order and number: each names an invoice to fetch, and none is lost."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from tests.btcpay.conftest import statuses_by_delivery, webhook_body
from tests.rig.canned_greenfield import vector
from tests.rig.fake_greenfield import HeldRequests, invoice_id_of
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.domain.observation import DeliveriesDone, RefundsSeen
from raised_simnet.http.http_server import Request

pytestmark = pytest.mark.usefixtures("after_full_sweep")


@pytest.mark.parametrize(
    "sequence", vector("webhook_sequences"), ids=lambda sequence: sequence["name"]
)
async def test_events_in_any_order_and_number_end_in_the_final_state(
    store: FollowedStore, sequence: Any
) -> None:
    final = sequence["final"]
    store.server.add(
        final["invoiceId"], final["status"], additionalStatus=final["additionalStatus"]
    )
    events = [webhook_body(name) for name in sequence["order_sent"]]
    orders = list(itertools.islice(itertools.permutations(events), 6))
    async with store.follow():
        for order in orders:
            for event in [*order, order[0]]:
                store.record.deliver(event["type"], event["invoiceId"])
        await store.until(lambda: len(store.record.results) == len(store.record.inbox))
    stored = store.record.invoices[final["invoiceId"]]
    assert (stored.status, stored.additional_status) == (final["status"], final["additionalStatus"])
    assert set(store.record.results.values()) == {"applied"}


async def test_a_status_that_changes_between_events_ends_as_the_server_last_showed_it(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "New")
    async with store.follow():
        for status in ("Processing", "New", "Processing", "Settled"):
            store.server.add("abc", status)
            row = store.record.deliver("InvoiceProcessing", "abc")
            await store.until(lambda: row in store.record.results)  # noqa: B023 - awaited in this turn
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

    async def settle_later(request: Request) -> None:
        if invoice_id_of(request) == "abc":
            store.server.add("abc", "Processing")

    store.server.after_answer = settle_later  # so the first answer is older than the event
    async with store.follow():
        await store.sweeps_started()
        store.record.deliver("InvoiceReceivedPayment", "abc", at=store.now)
        await store.until(lambda: len(statuses_by_delivery(store, "abc")) == 2)
    assert statuses_by_delivery(store, "abc") == ["New", "Processing"]
    assert len(store.record.published(DeliveriesDone)) == 1


async def test_an_event_that_waited_for_long_is_not_fetched_twice(
    store: FollowedStore,
) -> None:
    store.timing = replace(FAST_TIMING, refetch_delay=0.01)
    store.server.add("abc", "Settled")
    store.server.add("new", "Settled")
    store.record.deliver("InvoiceSettled", "abc", at=store.now - 100)
    store.record.deliver("InvoiceSettled", "new", at=store.now)
    async with store.follow():
        # This invoice is fetched twice; by then the other one would have been fetched again, too.
        await store.until(lambda: store.server.count("/invoices/new") == 2)
        await store.until(lambda: len(store.record.results) == 2)
    assert store.server.count("/invoices/abc") == 1


async def test_fetches_of_one_invoice_go_one_at_a_time_and_two_of_a_store(
    store: FollowedStore,
) -> None:
    invoices = ["a1", "b2", "c3", "d4"]
    in_flight: list[str] = []
    most: list[int] = []
    twice: list[str] = []
    held = HeldRequests(invoice_id_of)
    for invoice_id in invoices:
        store.server.add(invoice_id, "Settled")

    async def hold(request: Request) -> None:
        invoice_id = invoice_id_of(request)
        if invoice_id is None:
            return
        twice.extend([invoice_id] if invoice_id in in_flight else [])
        in_flight.append(invoice_id)
        most.append(len(in_flight))
        await held(request)
        in_flight.remove(invoice_id)

    store.server.before_answer = hold
    async with store.follow():
        for _ in range(3):
            for invoice_id in invoices:
                store.record.deliver("InvoiceSettled", invoice_id)
            await store.until(lambda: len(in_flight) == 2)
            await store.inbox_read()
        held.release()
        await store.until(lambda: len(store.record.results) == 12)
    assert max(most) == 2
    assert not twice


async def test_deliveries_that_name_no_invoice_are_done_without_a_fetch(
    store: FollowedStore,
) -> None:
    test = webhook_body("test_event_pre_2.3")
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
    assert store.server.count("/invoices/") == 0


async def test_an_unknown_event_of_an_invoice_has_it_fetched(store: FollowedStore) -> None:
    event = webhook_body("unknown_future_type")
    store.server.add(event["invoiceId"], "Settled")
    row = store.record.deliver(event["type"], event["invoiceId"])
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.record.results[row] == "applied"
    assert event["invoiceId"] in store.record.invoices


async def test_an_event_whose_type_could_not_be_read_has_fetched_what_it_names(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "Settled")
    rows = [
        store.record.deliver("unknown", "abc"),
        store.record.deliver("unknown", None, pull="4DebvnMPvNxLtsorc7vBCL8zAY9G"),
    ]
    async with store.follow():
        await store.until(lambda: len(store.record.results) == len(rows))
    assert store.record.results == dict.fromkeys(rows, "applied")
    assert "abc" in store.record.invoices


async def test_a_result_that_is_not_committed_yet_causes_no_second_fetch(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "Settled")
    async with store.follow():
        await store.sweeps_started()
        await store.until(lambda: store.record.health.facts.get("refunds_visible"))
        store.allow_commits.clear()
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.server.count("/invoices/abc"))
        await store.inbox_read(10)
        assert store.server.count("/invoices/abc") == 1
        store.allow_commits.set()
        await store.until(lambda: store.record.results)


async def test_a_delivery_that_waits_again_is_worked_off_again(
    store: FollowedStore,
) -> None:
    """As after a backup was restored."""
    store.server.add("abc", "Settled")
    row = store.record.deliver("InvoiceSettled", "abc")
    async with store.follow():
        for _ in range(2):
            await store.until(lambda: row in store.record.results)
            await store.inbox_read()  # it has seen that the delivery does not wait any more
            del store.record.results[row]
        await store.until(lambda: row in store.record.results)


async def test_a_refund_event_names_the_invoice_and_has_refunds_fetched(
    store: FollowedStore,
) -> None:
    event = webhook_body("InvoiceRefund")
    store.server.add(event["invoiceId"], "Settled")
    async with store.follow():
        await store.sweeps_started()
        store.server.pull_payments = vector("pull_payments")
        pull = event["pullPaymentId"]
        store.record.deliver(event["type"], event["invoiceId"], pull=pull)
        await store.until(
            lambda: any(seen.pull_payments for seen in store.record.published(RefundsSeen))
        )
    assert store.record.refunds == {pull: event["invoiceId"]}
    assert set(store.record.results.values()) == {"applied"}


async def test_a_payout_event_is_done_when_refunds_were_fetched(store: FollowedStore) -> None:
    async with store.follow():
        await store.sweeps_started()
        store.server.payouts = vector("payouts")
        row = store.record.deliver("PayoutUpdated", None, pull="4DebvnMPvNxLtsorc7vBCL8zAY9G")
        await store.until(lambda: row in store.record.results)
        assert [payout.state for payout in store.record.published(RefundsSeen)[-1].payouts] == [
            "Completed"
        ]
    assert store.record.results[row] == "applied"

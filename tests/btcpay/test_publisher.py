"""What is published: the newest answer only, in order, with the payments that count no more."""

from dataclasses import replace
from functools import partial

import pytest
from tests.rig.fake_greenfield import HeldRequests, payment
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.domain.observation import InvoicesSeen


def _is_fetched_or_full(store: FollowedStore, fetches: int) -> bool:
    return store.server.count("/invoices/abc") >= fetches or store.outbox.full()


@pytest.mark.usefixtures("after_full_sweep")
async def test_an_older_answer_does_not_undo_a_newer_one(store: FollowedStore) -> None:
    """A page is asked first and answered last; the webhook's fetch has seen more."""
    store.server.add("abc", "Processing")
    held = HeldRequests(lambda request: "status=new" in request.target)
    store.server.after_answer = held
    async with store.follow() as source:
        await store.until(held.arrived.is_set)
        store.server.add("abc", "Settled")
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.results)
        store.record.asked_at.clear()  # both were asked in the same second
        held.release()
        await store.sweep(source, "late")  # sweeps run one after another: the active one has ended
        await store.until(store.outbox.empty)
        assert store.record.invoices["abc"].status == "Settled"


@pytest.mark.usefixtures("after_full_sweep")
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
    published = {
        paid.id: paid.status
        for seen in store.record.published(InvoicesSeen)
        for invoice in seen.invoices
        for paid in invoice.payments or ()
    }
    assert published == {f"{1:064x}:0": "Invalid", f"{2:064x}:0": "Processing"}


async def test_a_full_outbox_keeps_the_order_of_answers(store: FollowedStore) -> None:
    """The record may be slow; what is published later was asked for later."""
    store.timing = replace(FAST_TIMING, refetch_delay=0.0)
    statuses = ["New", "Processing", "Settled"]
    store.server.add("abc", statuses[0])
    store.allow_commits.clear()
    async with store.follow():
        for fetches, status in enumerate(statuses, 1):
            store.server.add("abc", status)
            store.record.deliver("InvoiceProcessing", "abc")
            await store.until(partial(_is_fetched_or_full, store, fetches))
        store.allow_commits.set()
        await store.until(lambda: len(store.record.results) == 3)
        assert store.record.invoices["abc"].status == "Settled"

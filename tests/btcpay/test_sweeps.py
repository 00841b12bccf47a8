"""The active, recent and late sweeps find what no webhook announced."""

from tests.rig.fake_greenfield import BORN, payment
from tests.rig.memory_store_record import FollowedStore

from raised.domain.observation import InvoicesSeen, RefundsSeen, SweepDone

DAY = 86_400


async def test_the_active_sweep_lists_open_invoices_and_fetches_those_that_left(
    store: FollowedStore,
) -> None:
    for invoice_id in ("open", "settled", "expired", "deleted"):
        store.server.add(invoice_id, at=BORN - 200 * DAY)
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        observed_before = len(store.record.observations)
        store.server.add("open", "Processing", at=BORN - 200 * DAY)
        store.server.add("settled", "Settled", at=BORN - 200 * DAY)
        store.server.add("expired", "Expired", at=BORN - 200 * DAY)
        del store.server.invoices["deleted"]
        await store.sweep(source, "active")
        await store.until(lambda: "deleted" in store.record.missing)
    statuses = {invoice.id: invoice.status for invoice in store.record.invoices.values()}
    assert statuses == {"open": "Processing", "settled": "Settled", "expired": "Expired"} | {
        "deleted": "New"
    }
    observations = store.record.observations[observed_before:]
    assert {seen.origin for seen in observations if isinstance(seen, InvoicesSeen)} == {"active"}
    assert store.server.count("/invoices/open") == 0


async def test_the_recent_sweep_covers_the_terms_of_the_store_and_a_downtime(
    store: FollowedStore,
) -> None:
    store.record.swept = store.now - 10 * DAY  # so long nothing followed the store
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        await store.sweep(source, "recent")
    recent = [done for done in store.record.published(SweepDone) if done.sweep == "recent"]
    assert recent[0].since == store.now - 10 * DAY - 3600
    assert recent[1].since == store.now - 3 * DAY
    requests = [request for request in store.server.requests if "startDate" in request]
    assert f"startDate={recent[0].since}&" in requests[0]


async def test_the_late_sweep_finds_payments_of_expired_invoices(store: FollowedStore) -> None:
    at = store.now - 5 * DAY
    store.server.add("late", "Expired", at=at)
    store.server.add("slow", "Settled", at=at - 100 * DAY)
    store.server.pay("slow", payment(1, "Processing"))
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.server.add("late", "Expired", at=at, additionalStatus="PaidLate")
        store.server.pay("late", payment(2, "Settled"))
        store.server.pay("slow", payment(1, "Settled"))
        await store.sweep(source, "late")
        await store.until(lambda: store.record.invoices["late"].additional_status == "PaidLate")
        await store.until(lambda: "Settled" in store.record.payments["slow"].values())


async def test_many_late_invoices_are_read_as_one_list(store: FollowedStore) -> None:
    for number in range(30):
        store.server.add(f"late{number}", "Expired", at=store.now - 5 * DAY - number)
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        requests_before = len(store.server.requests)
        store.server.add("late7", "Expired", at=store.now - 5 * DAY, additionalStatus="PaidPartial")
        await store.sweep(source, "late")
        await store.until(lambda: store.record.invoices["late7"].additional_status != "None")
    requests = [
        request
        for request in store.server.requests[requests_before:]
        if request.startswith("/invoices")
    ]
    assert sum("status=expired" in request for request in requests) == 1
    assert not any(request.startswith("/invoices/late") for request in requests)


async def test_a_replaced_payment_is_found_by_a_sweep(store: FollowedStore) -> None:
    store.server.add("abc", "Processing")
    store.server.pay("abc", payment(1, "Processing"))
    async with store.follow() as source:
        await store.until(lambda: store.record.payments["abc"])
        store.server.add("abc", "New")  # no webhook announces this (docs/btcpay.md 1)
        store.server.pay("abc", payment(1, "Invalid"))
        await store.sweep(source, "active")
        await store.until(lambda: "Invalid" in store.record.payments["abc"].values())
    assert store.server.count("/invoices/abc/payment-methods?onlyAccountedPayments=false") == 1
    assert store.record.invoices["abc"].status == "New"

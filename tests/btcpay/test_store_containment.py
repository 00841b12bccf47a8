"""A list, a route or a word of a server that is odd stops nothing else, and is named."""

import pytest
from tests.rig.canned_greenfield import json_response
from tests.rig.fake_greenfield import BELOW, BORN, forbidden, invoice_id_of, payment
from tests.rig.memory_store_record import FollowedStore
from tests.rig.spoilt_store import FAILED, problems_of, settle, spoil_invoices, subjects

from raised.domain.observation import RefundsSeen, SweepDone
from raised_simnet.http.http_server import Request, Response

DAY = 86_400


@pytest.mark.parametrize(
    ("path", "named"),
    [("payouts", "the list of payouts"), ("pull-payments", "the list of pull payments")],
)
async def test_a_list_of_refunds_that_fails_delays_no_sweep(
    store: FollowedStore, path: str, named: str
) -> None:
    failing = [True]
    store.server.overrides.append(
        lambda request: FAILED if failing[0] and request.path == f"{BELOW}/{path}" else None
    )
    store.server.add("late", "Expired", at=store.now - 10 * DAY)
    async with store.follow() as source:
        await store.until(lambda: store.record.full_sweeps)
        store.server.add("late", "Expired", at=store.now - 10 * DAY, additionalStatus="PaidLate")
        store.server.pay("late", payment(1))
        store.server.add("new", "Settled", at=store.now)
        await store.sweep(source, "late")
        await store.sweep(source, "recent")
        assert store.record.payments["late"]
        assert "new" in store.record.invoices
        await store.until(lambda: subjects(store) == {named})
        (problem,) = problems_of(store)
        assert problem.code == "busy"
        assert named in problem.detail
        assert not store.record.published(RefundsSeen)
        failing[0] = False
        await store.until(lambda: store.record.health.state == "ok")
        await store.until(lambda: store.record.published(RefundsSeen))


async def test_the_terms_of_the_store_are_not_needed(store: FollowedStore) -> None:
    store.server.overrides.append(lambda request: FAILED if request.path == BELOW else None)
    async with store.follow():
        await store.until(
            lambda: [done for done in store.record.published(SweepDone) if done.sweep == "recent"]
        )


@pytest.mark.parametrize("path", ["health", "server/info"])
async def test_what_a_server_says_of_itself_is_not_needed(store: FollowedStore, path: str) -> None:
    failing = [True]
    store.server.overrides.append(
        lambda request: FAILED if failing[0] and request.path.endswith(path) else None
    )
    settle(store, 3)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: store.record.health.state == "degraded")
        assert "says of itself" in str(store.record.health.last_error)
        failing[0] = False
        await store.until(lambda: store.record.health.state == "ok")


@pytest.mark.parametrize("status", [400, 403, 404, 418, 451, 500, 302])
async def test_a_server_that_refuses_everything_is_down(store: FollowedStore, status: int) -> None:
    failing = [False]
    store.server.overrides.append(lambda _: Response(status, b"", "") if failing[0] else None)
    async with store.follow():
        await store.until(lambda: store.record.published(RefundsSeen))
        failing[0] = True
        await store.until(lambda: store.record.health.state == "down")
        failing[0] = False
        await store.until(lambda: store.record.health.state == "ok")


async def test_a_fetch_that_fails_alone_is_named_and_delays_no_other(store: FollowedStore) -> None:
    odd = {"bad"}
    for invoice_id in ("bad", "good"):
        store.server.add(invoice_id, "Settled", at=store.now - 90 * DAY)
    store.record.swept = store.now - 100
    spoil_invoices(store, odd)
    bad = store.record.deliver("InvoiceSettled", "bad")
    async with store.follow():
        await store.until(lambda: subjects(store) == {"bad"})
        good = store.record.deliver("InvoiceSettled", "good")
        await store.until(lambda: good in store.record.results)
        assert bad not in store.record.results
        assert store.record.health.state == "degraded"
        odd.clear()
        await store.until(lambda: bad in store.record.results)
        await store.until(lambda: store.record.health.state == "ok")


async def test_a_payment_that_the_list_lacks_counts_no_more_though_nobody_says_why(
    store: FollowedStore,
) -> None:
    """A double-spend: the answer lists all that count. That the rest cannot be had is said."""
    store.server.add("abc", "Processing")
    store.server.pay("abc", payment(1, "Processing"))
    async with store.follow() as source:
        await store.until(lambda: store.record.payments["abc"])
        await store.until(lambda: store.record.published(RefundsSeen))
        spoil_invoices(store, {"abc"}, forbidden("btcpay.store.canviewinvoices"))
        store.server.pay("abc", payment(1, "Invalid"))
        await store.sweep(source, "active")
        await store.until(lambda: "Invalid" in store.record.payments["abc"].values())
        await store.until(lambda: subjects(store) == {"abc"})
        assert store.record.problem_code == "missing_permission"


async def test_an_empty_list_of_payments_of_a_paid_invoice_says_nothing(
    store: FollowedStore,
) -> None:
    store.server.add("abc", "Settled", paidAmount="50.00")
    store.server.pay("abc", payment(1))
    empty = [False]

    def emptied(request: Request) -> Response | None:
        if not empty[0] or not request.path.startswith(f"{BELOW}/invoices"):
            return None
        if request.path.endswith("payment-methods"):
            return Response(200, b"[]", "application/json")
        row = {**store.server.invoices["abc"], "paymentMethods": []}
        if invoice_id_of(request) == "abc":
            return json_response(row)
        return json_response([row] if store.server._list_json(request.query) else [])

    store.server.overrides.append(emptied)
    async with store.follow() as source:
        await store.until(lambda: store.record.payments["abc"])
        await store.until(lambda: store.record.published(RefundsSeen))
        empty[0] = True
        await store.sweep(source, "full")
        await store.until(lambda: subjects(store) == {"abc"})
        assert set(store.record.payments["abc"].values()) == {"Settled"}
        empty[0] = False
        await store.until(lambda: store.record.health.state == "ok")


async def test_entries_of_refunds_that_cannot_be_read_are_named(store: FollowedStore) -> None:
    store.server.payouts = [
        {"id": "po1", "date": "today"},
        {"id": "po2", "date": BORN, "payoutMethodId": "BTC-CHAIN", "payoutAmount": "much"},
        {"date": BORN},
    ]
    store.server.pull_payments = [{"id": "pp1", "amount": {}}]
    async with store.follow() as source:
        await store.until(lambda: subjects(store) == {"po1", "po2", "pp1", ""})
        assert {problem.code for problem in problems_of(store)} == {"bad_refund"}
        assert all(problem.is_private for problem in problems_of(store))
        assert store.record.health.state == "degraded"
        store.server.payouts, store.server.pull_payments = [], []
        await store.sweep(source, "recent")
        await store.until(lambda: store.record.health.state == "ok")


async def test_words_that_are_not_known_are_a_warning(store: FollowedStore) -> None:
    store.server.add("held", "Settled")
    store.server.pay("held", payment(1, "Held"))
    store.server.add("frozen", "Frozen", additionalStatus="PaidUnder<b>")
    store.server.payouts = [
        {
            "id": "po",
            "date": BORN,
            "payoutMethodId": "BTC-CHAIN",
            "payoutAmount": "0.1",
            "state": "Stuck",
        }
    ]
    async with store.follow() as source:
        await store.until(lambda: len(problems_of(store)) == 3)
        assert store.record.health.state == "ok"
        details = {problem.subject: problem.detail for problem in problems_of(store)}
        assert '"Held"' in details["held"]
        assert '"Frozen", "PaidUnder?b?"' in details["frozen"]
        assert '"Stuck"' in details["po"]
        assert {problem.state for problem in problems_of(store)} == {"ok"}
        assert store.record.invoices["frozen"].status == "Other"
        (held,) = store.record.invoices["held"].payments or ()
        assert held.status == "Other"
        store.server.pay("held", payment(1))
        store.server.add("frozen", "Settled")
        store.server.payouts = []
        await store.sweep(source, "full")
        await store.sweep(source, "recent")
        await store.until(lambda: {row.subject for row in problems_of(store)} <= {"po"})


@pytest.mark.parametrize(("hours", "words"), [(5, "ahead of our clock"), (-9, "before their")])
async def test_payments_dated_off_are_a_warning(
    store: FollowedStore, hours: int, words: str
) -> None:
    store.server.add("abc", "Settled", at=store.now - 60)
    store.server.pay("abc", {**payment(1), "receivedDate": store.now + hours * 3600})
    async with store.follow() as source:
        await store.until(lambda: words in str(store.record.health.facts.get("warnings")))
        assert "UTC" in str(store.record.health.facts["warnings"])
        assert store.record.health.state == "ok"
        store.server.pay("abc", {**payment(1), "receivedDate": store.now})
        await store.sweep(source, "full")
        await store.until(lambda: store.record.health.facts["warnings"] == ())

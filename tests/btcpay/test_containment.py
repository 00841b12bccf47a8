"""One odd invoice or page stops nothing else, and is named (docs/containment.md)."""

import pytest
from structlog.testing import capture_logs
from tests.rig.fake_greenfield import BORN, BROKEN, forbidden, payment
from tests.rig.memory_store_record import FollowedStore
from tests.rig.spoilt_store import (
    FAILED,
    problems_of,
    settle,
    spoil_invoices,
    spoil_pages,
    subjects,
)

from raised.domain.observation import RefundsSeen
from raised_simnet.http.http_server import Response

HTML = Response(200, b"<html>one moment</html>", "text/html")
NO_JSON = Response(200, b'[{"id": "inv', "application/json")


@pytest.mark.parametrize("answer", [FAILED, BROKEN, HTML, NO_JSON, Response(404, b"", "")])
async def test_an_invoice_that_spoils_its_pages_is_read_by_itself(
    store: FollowedStore, answer: Response
) -> None:
    ids = settle(store, 60)
    spoil_pages(store, {"inv0023"}, answer)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: len(store.record.payments) == 60)
    assert set(store.record.invoices) == set(ids)
    assert store.record.health.state == "ok"
    assert not subjects(store)


@pytest.mark.parametrize("answer", [FAILED, forbidden("btcpay.store.canviewinvoices"), NO_JSON])
async def test_one_whose_payments_cannot_be_had_is_named_and_the_rest_counts(
    store: FollowedStore, answer: Response
) -> None:
    ids = settle(store, 60)
    odd = {"inv0023"}
    spoil_pages(store, odd)
    spoil_invoices(store, odd, answer)
    with capture_logs() as logs:
        async with store.follow():
            await store.until(lambda: store.record.full_sweeps and subjects(store))
            await store.until(lambda: store.record.published(RefundsSeen))
            assert set(store.record.invoices) == set(ids)
            assert {key for key, paid in store.record.payments.items() if paid} == set(ids) - odd
            (problem,) = problems_of(store)
            assert (problem.subject, problem.is_private) == ("inv0023", True)
            assert "inv0023" not in problem.detail
            assert store.record.health.state == "degraded"
            odd.clear()
            await store.until(lambda: store.record.health.state == "ok")
            assert len(store.record.payments) == 60
    named = [log["event"] for log in logs if log.get("subject") == "inv0023"]
    assert named == ["source has a problem", "problem of a source ended"]


async def test_many_odd_ones_leave_all_others_counted(store: FollowedStore) -> None:
    ids = settle(store, 130)
    odd = {*ids[3:9], *ids[49:52], ids[0], ids[-1], *ids[70:100:3]}
    spoil_pages(store, odd)
    spoil_invoices(store, odd)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: subjects(store) == odd)
    paid = {key for key, payments in store.record.payments.items() if payments}
    assert paid == set(ids) - odd


async def test_invoices_that_cannot_be_shown_at_all_are_counted_and_passed(
    store: FollowedStore,
) -> None:
    """Nothing says what they are called; the sweep goes on behind them, and comes back."""
    ids = settle(store, 60)
    odd = {ids[0], *ids[30:37], ids[-1]}
    hidden = set(odd)
    spoil_pages(store, hidden, when=lambda _: True)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: store.record.problem_code == "bad_rows")
        assert set(store.record.invoices) == set(ids) - odd
        assert not store.record.missing
        assert store.record.health.facts["bad_rows"] == len(odd)
        hidden.clear()
        await store.until(lambda: set(store.record.invoices) == set(ids))
        await store.until(lambda: store.record.health.state == "ok")


async def test_odd_ones_of_one_second_hide_no_others(store: FollowedStore) -> None:
    ids = [f"same{number:02}" for number in range(70)]
    for number, invoice_id in enumerate(ids):
        store.server.add(invoice_id, "Settled", at=BORN - number // 40)
        store.server.pay(invoice_id, payment(number))
    store.server.add("older", "Settled", at=BORN - 7)
    odd = {"same07", "same41"}
    spoil_pages(store, odd)
    spoil_invoices(store, odd)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and subjects(store) == odd)
    assert set(store.record.invoices) == {*ids, "older"}
    assert {key for key, paid in store.record.payments.items() if paid} == set(ids) - odd


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Carts of 400 kB are large where a page may have 16 MB; these are to a page as those."""
    monkeypatch.setattr("raised.btcpay.client.greenfield.PAGE", 160_000)
    monkeypatch.setattr("raised.btcpay.client.greenfield.ONE_INVOICE", 320_000)


@pytest.mark.usefixtures("small_limits")
async def test_pages_that_are_too_large_are_read_in_smaller_ones(store: FollowedStore) -> None:
    ids = settle(store, 60)
    for invoice_id in ids:
        store.server.invoices[invoice_id]["metadata"]["cart"] = " " * 4_000
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    assert set(store.record.invoices) == set(ids)
    assert store.record.health.state == "ok"


@pytest.mark.usefixtures("small_limits")
async def test_one_invoice_larger_than_a_page_may_be_is_read_alone(store: FollowedStore) -> None:
    ids = settle(store, 12)
    store.server.invoices["inv0005"]["metadata"]["cart"] = " " * 200_000
    store.record.deliver("InvoiceSettled", "inv0005")
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and store.record.results)
    assert set(store.record.invoices) == set(ids)
    assert set(store.record.results.values()) == {"applied"}
    assert store.record.health.state == "ok"


@pytest.mark.usefixtures("small_limits")
async def test_one_that_no_answer_may_hold_is_named_and_the_rest_counts(
    store: FollowedStore,
) -> None:
    ids = settle(store, 12)
    store.server.invoices["inv0005"]["metadata"]["cart"] = " " * 400_000
    store.record.deliver("InvoiceSettled", "inv0005")
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and "inv0005" in subjects(store))
        assert set(store.record.invoices) == set(ids) - {"inv0005"}
        assert not store.record.results
        assert "too_long" in {problem.code for problem in problems_of(store)}
        store.server.add("inv0005", "Settled")
        await store.until(lambda: store.record.results and store.record.health.state == "ok")

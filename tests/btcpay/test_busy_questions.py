"""A question that the server wants to be asked later delays nothing else (docs/btcpay.md 9.5)."""

import pytest
from tests.rig.fake_greenfield import BELOW
from tests.rig.memory_store_record import FollowedStore
from tests.rig.spoilt_store import problems_of, settle, spoil_invoices, subjects

from raised.domain.observation import RefundsSeen, SourceHealth
from raised_simnet.http.http_server import Response

DAY = 86_400


def later(status: int, seconds: str = "3600") -> Response:
    """An answer that asks for a pause that no test waits for."""
    return Response(status, b"", "", headers={"Retry-After": seconds})


def requests_for(store: FollowedStore, path: str) -> int:
    """How often something below this path was asked for."""
    return sum(path in request for request in store.server.requests)


@pytest.mark.parametrize("answer", [later(429), later(503), later(500), later(429, "999999999")])
@pytest.mark.parametrize(
    ("path", "named"),
    [("payouts", "the list of payouts"), ("pull-payments", "the list of pull payments")],
)
async def test_a_list_of_refunds_that_wants_a_pause_has_it_alone(
    store: FollowedStore, answer: Response, path: str, named: str
) -> None:
    store.server.overrides.append(
        lambda request: answer if request.path == f"{BELOW}/{path}" else None
    )
    ids = settle(store, 60)
    async with store.follow() as source:
        await store.until(lambda: store.record.full_sweeps and subjects(store) == {named})
        for kind in ("recent", "active", "late", "full", "recent"):
            await store.sweep(source, kind)
        row = store.record.deliver("InvoiceSettled", ids[0])
        await store.until(lambda: row in store.record.results)
        assert requests_for(store, f"/{path}") == 1
        assert {problem.code for problem in problems_of(store)} == {"busy"}
        assert {health.state for health in store.record.published(SourceHealth)} <= {
            "ok",
            "degraded",
        }


@pytest.mark.usefixtures("after_full_sweep")
@pytest.mark.parametrize("answer", [later(429), later(503), later(500)])
async def test_an_invoice_that_wants_a_pause_has_it_alone(
    store: FollowedStore, answer: Response
) -> None:
    for invoice_id in ("bad", "good"):
        store.server.add(invoice_id, "Settled", at=store.now - 90 * DAY)
    spoil_invoices(store, {"bad"}, answer)
    bad = store.record.deliver("InvoiceSettled", "bad")
    async with store.follow() as source:
        await store.until(lambda: subjects(store) == {"bad"})
        good = store.record.deliver("InvoiceSettled", "good")
        await store.until(lambda: good in store.record.results)
        await store.sweep(source, "recent")
        store.record.deliver("InvoiceSettled", "bad")
        await store.inbox_read()
        assert bad not in store.record.results
        assert requests_for(store, "/invoices/bad") == 1
        assert store.record.health.state == "degraded"


@pytest.mark.usefixtures("after_full_sweep")
@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_wants_a_pause_from_everything_is_left_alone(
    store: FollowedStore, status: int
) -> None:
    store.server.add("abc", "Settled", at=store.now - 90 * DAY)
    wants = [False]
    store.server.overrides.append(lambda _: later(status) if wants[0] else None)
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        wants[0] = True
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.health.state == "down")
        await store.inbox_read()
        requests = len(store.server.requests)
        store.record.deliver("InvoiceSettled", "other")
        await store.sweep(source, "full")
        await store.inbox_read()
        assert len(store.server.requests) == requests
        assert not store.record.results

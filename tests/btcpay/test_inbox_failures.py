"""Deliveries whose fetch fails keep their place in the inbox until it succeeds."""

import pytest
from tests.rig.fake_greenfield import (
    BELOW,
    BROKEN,
    GONE,
    UNAUTHENTICATED,
    forbidden,
    invoice_id_of,
)
from tests.rig.memory_store_record import FollowedStore

from raised.domain.observation import (
    DeliveriesDone,
    InvoicesGone,
)
from raised_simnet.http.http_server import Request, Response

pytestmark = pytest.mark.usefixtures("after_full_sweep")


@pytest.mark.parametrize("answer", [GONE, forbidden("btcpay.store.canviewinvoices")])
async def test_an_invoice_that_is_not_found_is_gone_where_the_list_works(
    store: FollowedStore, answer: Response
) -> None:
    """2.4+ answers 403 for what it does not have (docs/btcpay.md 9.2)."""
    store.server.overrides.append(
        lambda request: answer if invoice_id_of(request) == "lost" else None
    )
    row = store.record.deliver("InvoiceSettled", "lost")
    async with store.follow():
        await store.until(lambda: store.record.results)
    assert store.record.results == {row: "gone"}
    assert [gone.ids for gone in store.record.published(InvoicesGone)] == [("lost",)]
    assert store.record.health.state == "ok"


async def test_an_invoice_is_not_gone_when_the_permission_is_lost(store: FollowedStore) -> None:
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


async def test_an_invoice_is_not_gone_when_the_permission_comes_back_before_the_list(
    store: FollowedStore,
) -> None:
    refusals = [forbidden("btcpay.store.canviewinvoices")]
    path = f"{BELOW}/invoices/abc"
    async with store.follow():
        await store.sweeps_started()
        store.server.add("abc", "Settled")
        store.server.overrides.append(
            lambda request: refusals.pop() if refusals and request.path == path else None
        )
        store.record.deliver("InvoiceSettled", "abc")
        await store.until(lambda: store.record.results)
    assert not refusals
    assert set(store.record.results.values()) == {"applied"}


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


async def test_an_unreadable_invoice_keeps_its_place_and_delays_no_other(
    store: FollowedStore,
) -> None:
    for invoice_id in ("bad", "good"):
        store.server.add(invoice_id, "Settled")
    broken = [True]

    def override(request: Request) -> Response | None:
        is_bad = invoice_id_of(request) == "bad" and broken[0]
        return Response(200, b'{"id": 7}', "application/json") if is_bad else None

    store.server.overrides.append(override)
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

    def override(request: Request) -> Response | None:
        if invoice_id_of(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    store.server.overrides.append(override)
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
    ids=lambda answer: str(answer.status),
)
async def test_a_refused_request_keeps_its_place(store: FollowedStore, answer: Response) -> None:
    store.server.add("abc", "Settled")
    left = [2]

    def override(request: Request) -> Response | None:
        if invoice_id_of(request) != "abc" or not left[0]:
            return None
        left[0] -= 1
        return answer

    store.server.overrides.append(override)
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

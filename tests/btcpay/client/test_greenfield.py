"""The store's API over real HTTP: what is asked, and what comes of the answers."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.rig.canned_greenfield import (
    FAST_RETRY,
    KEY,
    STORE,
    CannedGreenfield,
    json_response,
    vector,
)

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http_status import Forbidden, Gone
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.client.server_json import ServerInfo, StoreTerms
from raised.btcpay.settings import StoreSettings
from raised.errors import BadData, Refused, Unavailable
from raised_simnet.http.http_server import Request, Response

LIST = "invoice_list_with_payment_methods_2.4.1"
SINGLE = vector("invoice_single_2.4.1")
PAID = "5KiLNvKhqe5kv85T6g8oGS"
METHODS = vector("payment_methods/onchain_settled_2.x")
NOT_FOUND = json_response(
    {"code": "invoice-not-found", "message": "The invoice was not found"}, 404
)
FORBIDDEN = json_response(
    {
        "missingPermission": "btcpay.store.canviewinvoices",
        "code": "missing-permission",
        "message": "Insufficient API Permissions.",
    },
    403,
)


async def test_the_key_goes_in_the_header_and_below_the_base_path(server: CannedGreenfield) -> None:
    server.answer("server/info", json_response(vector("server_info_2.x")))
    assert await server.client().server() == ServerInfo("2.4.1", synchronized=True)
    (request,) = server.requests
    assert request.path == "/pay/here/api/v1/server/info"
    assert request.headers["authorization"] == f"token {KEY}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"].startswith("raised/")
    assert KEY not in request.path


async def test_small_answers_are_read(server: CannedGreenfield) -> None:
    server.answer("health", json_response(vector("health")))
    server.answer("api-keys/current", json_response(vector("api_key_current")))
    server.answer("", json_response({"invoiceExpiration": 900, "monitoringExpiration": 86400}))
    server.answer(
        f"stores/{STORE}", json_response({"invoiceExpiration": 9, "monitoringExpiration": 8})
    )
    server.answer("/rates", json_response(vector("rates")))
    client = server.client()
    assert await client.is_synchronized()
    assert len(await client.permissions()) == 2
    assert await client.store_terms() == StoreTerms(9, 8)
    assert await client.rates(["USD", "XXX"]) == {"USD": "64392.23", "XXX": None}
    assert server.requests[-1].query == {"currencyPair": ["BTC_USD", "BTC_XXX"]}
    assert client.stats.errors == {}
    assert client.stats.last_success_at is not None
    assert client.stats.latency_ms is not None


async def test_the_terms_of_a_store_that_the_key_may_not_see_are_unknown(
    server: CannedGreenfield,
) -> None:
    server.answer(f"stores/{STORE}", FORBIDDEN)
    assert await server.client().store_terms() is None


async def test_a_page_is_asked_for_as_it_is_described(server: CannedGreenfield) -> None:
    server.answer("/invoices", json_response([]))
    page = InvoicePage(("New", "Processing"), start=5, end=9, skip=3, take=7, text="a b")
    answer = await server.client().invoices(page)
    assert (answer.invoices, answer.raw_count, answer.oldest_at, answer.bad) == ((), 0, None, {})
    assert server.requests[0].query == {
        "status": ["new", "processing"],
        "startDate": ["5"],
        "endDate": ["9"],
        "textSearch": ["a b"],
        "includeArchived": ["true"],
        "includePaymentMethods": ["true"],
        "skip": ["3"],
        "take": ["7"],
    }


async def test_payments_that_come_with_the_list_are_not_asked_for(server: CannedGreenfield) -> None:
    server.answer("/invoices", json_response(vector(LIST)))
    answer = await server.client().invoices(InvoicePage())
    assert server.paths() == ["/invoices"]
    assert answer.raw_count == len(answer.invoices) == 4
    assert answer.oldest_at == min(row["createdTime"] for row in vector(LIST))
    assert all(invoice.payments for invoice in answer.invoices)


async def test_an_older_server_is_asked_for_the_payments_of_who_may_have_some(
    server: CannedGreenfield,
) -> None:
    rows = vector("invoice_list_1.13")
    server.answer("/invoices", json_response(rows))
    for row in rows:
        methods = json_response(vector("payment_methods/onchain_settled_1.13"))
        server.answer(f"/invoices/{row['id']}/payment-methods", methods)
    answer = await server.client().invoices(InvoicePage())
    new, *others = answer.invoices
    assert new.payments == ()
    assert [len(invoice.payments or ()) for invoice in others] == [1] * 4
    payment_requests = [
        request for request in server.requests if request.path.endswith("payment-methods")
    ]
    assert {request.path.split("/")[-2] for request in payment_requests} == {
        invoice.id for invoice in others
    }
    assert all(request.query == {"onlyAccountedPayments": ["true"]} for request in payment_requests)


async def test_never_more_than_two_requests_are_in_flight(server: CannedGreenfield) -> None:
    """Also of two stores of one server, which share a gate."""
    in_flight = 0
    most = 0

    async def slow(_request: Request) -> Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        while most < 2:  # noqa: ASYNC110 - the other request runs in this loop
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)  # long enough for a third one to arrive
        in_flight -= 1
        return json_response(METHODS)

    rows = [{**SINGLE, "id": f"invoice{number}"} for number in range(8)]
    server.answer("/invoices", json_response(rows))
    for row in rows:
        server.answer(f"/invoices/{row['id']}/payment-methods", slow)
    gate = asyncio.Semaphore(2)
    stores = [server.client(gate=gate) for _ in range(2)]
    answers = await asyncio.gather(*(client.invoices(InvoicePage()) for client in stores))
    assert most == 2
    assert all(invoice.payments for answer in answers for invoice in answer.invoices)


async def test_an_invoice_that_goes_away_meanwhile_keeps_its_row(server: CannedGreenfield) -> None:
    server.answer(
        "/invoices", json_response([SINGLE, {**SINGLE, "id": "gone"}, {**SINGLE, "id": "odd"}])
    )
    server.answer(f"/invoices/{PAID}/payment-methods", json_response(METHODS))
    server.answer("/invoices/gone/payment-methods", FORBIDDEN)
    server.answer("/invoices/odd/payment-methods", json_response({"not": "a list"}))
    answer = await server.client().invoices(InvoicePage())
    payments = {
        invoice.id: (invoice.payments, invoice.unreadable_payments) for invoice in answer.invoices
    }
    assert payments[PAID][0]
    assert payments["gone"] == (None, 0)
    assert payments["odd"] == (None, 1)
    assert answer.bad == {"bad_payment": 1}


async def test_a_page_fails_as_a_whole_when_the_server_goes_away(server: CannedGreenfield) -> None:
    server.answer("/invoices", json_response([SINGLE, {**SINGLE, "id": "other"}]))
    server.answer(f"/invoices/{PAID}/payment-methods", Response(503))
    server.answer("/invoices/other/payment-methods", Response(503))
    with pytest.raises(Unavailable) as caught:
        await server.client().invoices(InvoicePage())
    assert caught.value.code == "busy"


async def test_bad_rows_are_counted_and_the_others_kept(server: CannedGreenfield) -> None:
    rows = vector(LIST)
    rows[0] = {**rows[0], "amount": "much"}
    rows[1]["paymentMethods"][1]["payments"][0]["value"] = "0.5e0"
    rows[3] = {"createdTime": 1}
    server.answer("/invoices", json_response(rows))
    client = server.client()
    answer = await client.invoices(InvoicePage())
    assert [invoice.id for invoice in answer.invoices] == [rows[1]["id"], rows[2]["id"]]
    assert answer.bad == {"bad_invoice": 2, "bad_payment": 1}
    assert (answer.raw_count, answer.oldest_at) == (4, 1)
    assert answer.invoices[0].unreadable_payments == 1
    assert client.stats.errors == {"bad_invoice": 2, "bad_payment": 1}
    assert client.stats.last_error is not None


async def test_a_row_shown_twice_is_told_once(server: CannedGreenfield) -> None:
    rows = vector(LIST)
    server.answer("/invoices", json_response([*rows, rows[0]]))
    answer = await server.client().invoices(InvoicePage())
    assert (len(answer.invoices), answer.raw_count) == (4, 5)


async def test_a_list_that_is_none_is_a_bad_answer(server: CannedGreenfield) -> None:
    server.answer("/invoices", json_response({"invoices": []}))
    client = server.client()
    with pytest.raises(BadData) as caught:
        await client.invoices(InvoicePage())
    assert caught.value.code == "bad_answer"
    assert client.stats.errors == {"bad_answer": 1}


async def test_one_invoice_comes_with_its_payments(server: CannedGreenfield) -> None:
    server.answer(f"/invoices/{PAID}", json_response(SINGLE))
    server.answer(f"/invoices/{PAID}/payment-methods", json_response(METHODS))
    answer = await server.client().invoice(PAID)
    assert answer is not None
    (invoice,) = answer.invoices
    assert invoice.payments is not None
    assert invoice.payments[0].value_msats == 77_650_000
    assert answer.asked_at > 0
    assert server.requests[0].query == {"includePaymentMethods": ["true"]}


async def test_one_invoice_whose_payments_are_inline_takes_one_request(
    server: CannedGreenfield,
) -> None:
    server.answer(f"/invoices/{PAID}", json_response({**SINGLE, "paymentMethods": METHODS}))
    answer = await server.client().invoice(PAID)
    assert answer is not None
    assert answer.invoices[0].payments
    assert server.paths() == [f"/invoices/{PAID}"]


async def test_an_invoice_that_is_gone_is_none(server: CannedGreenfield) -> None:
    server.answer(f"/invoices/{PAID}", NOT_FOUND)
    assert await server.client().invoice(PAID) is None


async def test_an_invoice_that_is_forbidden_is_left_to_who_asks(server: CannedGreenfield) -> None:
    """2.4 says so of unknown ids, too; only a list tells the difference."""
    server.answer(f"/invoices/{PAID}", FORBIDDEN)
    with pytest.raises(Forbidden) as caught:
        await server.client().invoice(PAID)
    assert caught.value.permission == "btcpay.store.canviewinvoices"


@pytest.mark.parametrize("name", ["../..", "a/b", "", "a?b", "ä", "x" * 200, "__test__ __test__"])
async def test_what_can_be_no_id_is_not_asked_for(server: CannedGreenfield, name: str) -> None:
    assert await server.client().invoice(name) is None
    with pytest.raises(Gone):
        await server.client().payments(name, accounted_only=True)
    assert server.requests == []


async def test_another_invoice_than_asked_for_is_a_bad_answer(server: CannedGreenfield) -> None:
    server.answer("/invoices/other", json_response({**SINGLE, "paymentMethods": METHODS}))
    with pytest.raises(BadData):
        await server.client().invoice("other")


async def test_payments_that_count_no_more_are_shown_on_request(server: CannedGreenfield) -> None:
    server.answer(
        "/invoices/x/payment-methods", json_response(vector("payment_methods/rbf_all_payments_2.x"))
    )
    read = await server.client().payments("x", accounted_only=False)
    assert [paid.status for paid in read.rows] == ["Invalid", "Settled"]
    assert server.requests[0].query == {"onlyAccountedPayments": ["false"]}
    assert "includeSensitive" not in server.requests[0].query


def crowdfund(app: str, number: int, created: int) -> dict[str, Any]:
    page = f"https://pay.example.org/apps/{app}/crowdfund"
    return {"id": f"{app}{number}", "createdTime": created, "metadata": {"orderUrl": page}}


async def test_invoices_of_an_app_are_found_page_by_page(server: CannedGreenfield) -> None:
    """By search and by the order's page: the search also finds apps whose id begins alike."""
    made = [crowdfund("app", number, 9_000 - number // 2) for number in range(230)]
    rows = [*made[:50], crowdfund("apple", 1, 8_975), *made[50:]]

    def search(request: Request) -> Response:
        end = int(request.query.get("endDate", ["9999999999"])[0])
        skip, take = (int(request.query[name][0]) for name in ("skip", "take"))
        page = [row for row in rows if row["createdTime"] <= end][skip : skip + take]
        del rows[0]  # the server cleans up meanwhile: what comes after moves up
        return json_response(page)

    server.answer("/invoices", search)
    found = await server.client().app_invoices("app", start=3, end=9_500)
    assert not found.unlisted
    assert found.ids == {row["id"] for row in made}
    assert all(request.query["textSearch"] == ["crowdfund-app_app"] for request in server.requests)
    assert all(request.query["startDate"] == ["3"] for request in server.requests)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("page", "is_its"),
    [
        ("https://pay.example.org/apps/app/crowdfund", True),
        ("https://pay.example.org/apps/app/crowdfund?lang=app1", True),
        ("https://pay.example.org/apps/app1/crowdfund", False),
        ("https://film.example.org/", True),  # a domain of its own
        ("https://pay.example.org/apps/shop/pos", True),  # it takes all the store's invoices
        (None, True),
        (5, True),
    ],
)
async def test_only_an_app_with_a_longer_id_is_another(
    server: CannedGreenfield, page: object, *, is_its: bool
) -> None:
    row = {"id": "x", "createdTime": 5, "metadata": {"orderUrl": page}}
    server.answer(
        "/invoices", json_response([row, {**row, "id": "y", "metadata": "none"}, {"id": ""}])
    )
    assert (await server.client().app_invoices("app")).ids == ({"x", "y"} if is_its else {"y"})


async def test_a_search_without_end_is_given_up() -> None:
    answer = httpx.Response(200, json=[{}] * 100)
    settings = StoreSettings("shop", "http://pay.test", STORE, KEY)
    transport = httpx.MockTransport(lambda _request: answer)
    client = Greenfield(settings, transport=transport, retry_policy=FAST_RETRY)
    with pytest.raises(BadData):
        await client.app_invoices("app")
    await client.close()


async def test_refunds_are_read_whole(server: CannedGreenfield) -> None:
    server.answer("/pull-payments", json_response([*vector("pull_payments"), {"id": 5}]))
    server.answer("/payouts", json_response(vector("payouts")))
    client = server.client()
    pull_payments = await client.pull_payments()
    (offer,) = pull_payments.rows
    assert (pull_payments.unreadable, pull_payments.unreadable_ids) == (1, ("",))
    (payout,) = (await client.payouts()).rows
    assert payout.pull_payment_id == offer.id
    assert [request.query for request in server.requests] == [
        {"includeArchived": ["true"]},
        {"includeCancelled": ["true"]},
    ]
    assert client.stats.errors == {"bad_row": 1}


async def test_a_webhook_is_listed_created_and_made_ours(server: CannedGreenfield) -> None:
    created = vector("webhook_create_response")
    server.answer(
        "/webhooks",
        lambda request: json_response(
            created if request.method == "POST" else vector("webhook_list_response")
        ),
    )
    adopted = {key: value for key, value in created.items() if key != "secret"}
    server.answer(f"/webhooks/{created['id']}", json_response(adopted))
    server.answer(
        f"/webhooks/{created['id']}/deliveries",
        json_response(vector("webhook_deliveries_response")),
    )
    client = server.client()
    (listed,) = await client.webhooks()
    made = await client.create_webhook("https://here/hook", "s3cret", ["InvoiceSettled"])
    ours = await client.replace_webhook(listed.id, "https://here/hook", None, ["InvoiceSettled"])
    sent = await client.deliveries(listed.id, 50)
    assert made == ours
    assert len(sent) == 6
    _, post, put, deliveries = server.requests
    assert (post.method, put.method) == ("POST", "PUT")
    wanted = {
        "url": "https://here/hook",
        "enabled": True,
        "automaticRedelivery": True,
        "authorizedEvents": {"everything": False, "specificEvents": ["InvoiceSettled"]},
    }
    assert json.loads(put.body) == wanted
    assert json.loads(post.body) == {**wanted, "secret": "s3cret"}
    assert post.headers["content-type"] == "application/json"
    assert deliveries.query == {"count": ["50"]}


async def test_a_refused_webhook_names_what_was_wrong(server: CannedGreenfield) -> None:
    server.answer("/webhooks", json_response([{"path": "Url", "message": "Invalid Url"}], 422))
    with pytest.raises(Refused) as caught:
        await server.client().create_webhook("here", "s", [])
    assert caught.value.detail == "refuses the question as wrong (Url)"

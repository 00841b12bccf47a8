"""The store's API over real HTTP: what is asked, and what comes of the answers."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.rig.canned_greenfield import HURRY, KEY, STORE, CannedGreenfield, shown, vector

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
NOT_FOUND = shown({"code": "invoice-not-found", "message": "The invoice was not found"}, 404)
FORBIDDEN = shown(
    {
        "missingPermission": "btcpay.store.canviewinvoices",
        "code": "missing-permission",
        "message": "Insufficient API Permissions.",
    },
    403,
)


async def test_the_key_goes_in_the_header_and_below_the_base_path(teller: CannedGreenfield) -> None:
    teller.tell("server/info", shown(vector("server_info_2.x")))
    assert await teller.store().server() == ServerInfo("2.4.1", synchronized=True)
    (request,) = teller.requests
    assert request.path == "/pay/here/api/v1/server/info"
    assert request.headers["authorization"] == f"token {KEY}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"].startswith("raised/")
    assert KEY not in request.path


async def test_small_answers_are_read(teller: CannedGreenfield) -> None:
    teller.tell("health", shown(vector("health")))
    teller.tell("api-keys/current", shown(vector("api_key_current")))
    teller.tell("", shown({"invoiceExpiration": 900, "monitoringExpiration": 86400}))
    teller.tell(f"stores/{STORE}", shown({"invoiceExpiration": 9, "monitoringExpiration": 8}))
    teller.tell("/rates", shown(vector("rates")))
    store = teller.store()
    assert await store.is_synchronized()
    assert len(await store.permissions()) == 2
    assert await store.store_terms() == StoreTerms(9, 8)
    assert await store.rates(["USD", "XXX"]) == {"USD": "64392.23", "XXX": None}
    assert teller.requests[-1].query == {"currencyPair": ["BTC_USD", "BTC_XXX"]}
    assert store.stats.errors == {}
    assert store.stats.last_success_at is not None
    assert store.stats.latency_ms is not None


async def test_the_terms_of_a_store_that_the_key_may_not_see_are_unknown(
    teller: CannedGreenfield,
) -> None:
    teller.tell(f"stores/{STORE}", FORBIDDEN)
    assert await teller.store().store_terms() is None


async def test_a_page_is_asked_for_as_it_is_described(teller: CannedGreenfield) -> None:
    teller.tell("/invoices", shown([]))
    page = InvoicePage(("New", "Processing"), start=5, end=9, skip=3, take=7, text="a b")
    answer = await teller.store().invoices(page)
    assert (answer.invoices, answer.raw_count, answer.oldest_at, answer.bad) == ((), 0, None, {})
    assert teller.requests[0].query == {
        "status": ["new", "processing"],
        "startDate": ["5"],
        "endDate": ["9"],
        "textSearch": ["a b"],
        "includeArchived": ["true"],
        "includePaymentMethods": ["true"],
        "skip": ["3"],
        "take": ["7"],
    }


async def test_payments_that_come_with_the_list_are_not_asked_for(teller: CannedGreenfield) -> None:
    teller.tell("/invoices", shown(vector(LIST)))
    answer = await teller.store().invoices(InvoicePage())
    assert teller.paths() == ["/invoices"]
    assert answer.raw_count == len(answer.invoices) == 4
    assert answer.oldest_at == min(one["createdTime"] for one in vector(LIST))
    assert all(one.payments for one in answer.invoices)


async def test_an_older_server_is_asked_for_the_payments_of_who_may_have_some(
    teller: CannedGreenfield,
) -> None:
    rows = vector("invoice_list_1.13")
    teller.tell("/invoices", shown(rows))
    for row in rows:
        methods = shown(vector("payment_methods/onchain_settled_1.13"))
        teller.tell(f"/invoices/{row['id']}/payment-methods", methods)
    answer = await teller.store().invoices(InvoicePage())
    new, *others = answer.invoices
    assert new.payments == ()
    assert [len(one.payments or ()) for one in others] == [1] * 4
    asked = [request for request in teller.requests if request.path.endswith("payment-methods")]
    assert {request.path.split("/")[-2] for request in asked} == {one.id for one in others}
    assert all(request.query == {"onlyAccountedPayments": ["true"]} for request in asked)


async def test_never_more_than_two_requests_are_under_way(teller: CannedGreenfield) -> None:
    """Also of two stores of one server, which share a gate."""
    under_way = 0
    most = 0

    async def slow(_request: Request) -> Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return shown(METHODS)

    rows = [{**SINGLE, "id": f"invoice{number}"} for number in range(8)]
    teller.tell("/invoices", shown(rows))
    for row in rows:
        teller.tell(f"/invoices/{row['id']}/payment-methods", slow)
    gate = asyncio.Semaphore(2)
    stores = [teller.store(gate=gate) for _ in range(2)]
    answers = await asyncio.gather(*(store.invoices(InvoicePage()) for store in stores))
    assert most == 2
    assert all(one.payments for answer in answers for one in answer.invoices)


async def test_an_invoice_that_goes_away_meanwhile_keeps_its_row(teller: CannedGreenfield) -> None:
    teller.tell("/invoices", shown([SINGLE, {**SINGLE, "id": "gone"}, {**SINGLE, "id": "odd"}]))
    teller.tell(f"/invoices/{PAID}/payment-methods", shown(METHODS))
    teller.tell("/invoices/gone/payment-methods", FORBIDDEN)
    teller.tell("/invoices/odd/payment-methods", shown({"not": "a list"}))
    answer = await teller.store().invoices(InvoicePage())
    told = {one.id: (one.payments, one.unread_payments) for one in answer.invoices}
    assert told[PAID][0]
    assert told["gone"] == (None, 0)
    assert told["odd"] == (None, 1)
    assert answer.bad == {"bad_payment": 1}


async def test_a_page_fails_as_a_whole_when_the_server_goes_away(teller: CannedGreenfield) -> None:
    teller.tell("/invoices", shown([SINGLE, {**SINGLE, "id": "other"}]))
    teller.tell(f"/invoices/{PAID}/payment-methods", Response(503))
    teller.tell("/invoices/other/payment-methods", Response(503))
    with pytest.raises(Unavailable) as caught:
        await teller.store().invoices(InvoicePage())
    assert caught.value.code == "busy"


async def test_bad_rows_are_counted_and_the_others_kept(teller: CannedGreenfield) -> None:
    rows = vector(LIST)
    rows[0] = {**rows[0], "amount": "much"}
    rows[1]["paymentMethods"][1]["payments"][0]["value"] = "0.5e0"
    rows[3] = {"createdTime": 1}
    teller.tell("/invoices", shown(rows))
    store = teller.store()
    answer = await store.invoices(InvoicePage())
    assert [one.id for one in answer.invoices] == [rows[1]["id"], rows[2]["id"]]
    assert answer.bad == {"bad_invoice": 2, "bad_payment": 1}
    assert (answer.raw_count, answer.oldest_at) == (4, 1)
    assert answer.invoices[0].unread_payments == 1
    assert store.stats.errors == {"bad_invoice": 2, "bad_payment": 1}
    assert store.stats.last_error is not None


async def test_a_row_shown_twice_is_told_once(teller: CannedGreenfield) -> None:
    rows = vector(LIST)
    teller.tell("/invoices", shown([*rows, rows[0]]))
    answer = await teller.store().invoices(InvoicePage())
    assert (len(answer.invoices), answer.raw_count) == (4, 5)


async def test_a_list_that_is_none_is_a_bad_answer(teller: CannedGreenfield) -> None:
    teller.tell("/invoices", shown({"invoices": []}))
    store = teller.store()
    with pytest.raises(BadData) as caught:
        await store.invoices(InvoicePage())
    assert caught.value.code == "bad_answer"
    assert store.stats.errors == {"bad_answer": 1}


async def test_one_invoice_comes_with_its_payments(teller: CannedGreenfield) -> None:
    teller.tell(f"/invoices/{PAID}", shown(SINGLE))
    teller.tell(f"/invoices/{PAID}/payment-methods", shown(METHODS))
    found = await teller.store().invoice(PAID)
    assert found is not None
    invoice, asked_at = found
    assert invoice.payments is not None
    assert invoice.payments[0].value_msats == 77_650_000
    assert asked_at > 0
    assert teller.requests[0].query == {"includePaymentMethods": ["true"]}


async def test_one_invoice_whose_payments_are_inline_takes_one_request(
    teller: CannedGreenfield,
) -> None:
    teller.tell(f"/invoices/{PAID}", shown({**SINGLE, "paymentMethods": METHODS}))
    found = await teller.store().invoice(PAID)
    assert found is not None
    assert found[0].payments
    assert teller.paths() == [f"/invoices/{PAID}"]


async def test_an_invoice_that_is_gone_is_none(teller: CannedGreenfield) -> None:
    teller.tell(f"/invoices/{PAID}", NOT_FOUND)
    assert await teller.store().invoice(PAID) is None


async def test_an_invoice_that_is_forbidden_is_left_to_who_asks(teller: CannedGreenfield) -> None:
    """2.4 says so of unknown ids, too; only a list tells the difference."""
    teller.tell(f"/invoices/{PAID}", FORBIDDEN)
    with pytest.raises(Forbidden) as caught:
        await teller.store().invoice(PAID)
    assert caught.value.permission == "btcpay.store.canviewinvoices"


@pytest.mark.parametrize("name", ["../..", "a/b", "", "a?b", "ä", "x" * 200, "__test__ __test__"])
async def test_what_can_be_no_id_is_not_asked_for(teller: CannedGreenfield, name: str) -> None:
    assert await teller.store().invoice(name) is None
    with pytest.raises(Gone):
        await teller.store().payments(name, accounted_only=True)
    assert teller.requests == []


async def test_another_invoice_than_asked_for_is_a_bad_answer(teller: CannedGreenfield) -> None:
    teller.tell("/invoices/other", shown({**SINGLE, "paymentMethods": METHODS}))
    with pytest.raises(BadData):
        await teller.store().invoice("other")


async def test_payments_that_count_no_more_are_shown_on_request(teller: CannedGreenfield) -> None:
    teller.tell(
        "/invoices/x/payment-methods", shown(vector("payment_methods/rbf_all_payments_2.x"))
    )
    read = await teller.store().payments("x", accounted_only=False)
    assert [one.status for one in read.rows] == ["Invalid", "Settled"]
    assert teller.requests[0].query == {"onlyAccountedPayments": ["false"]}
    assert "includeSensitive" not in teller.requests[0].query


async def test_payments_before_their_invoice_are_said_once(teller: CannedGreenfield) -> None:
    methods = json.loads(json.dumps(METHODS))
    methods[0]["payments"][0]["receivedDate"] = SINGLE["createdTime"] - 3600
    teller.tell("/invoices", shown([{**SINGLE, "paymentMethods": methods}]))
    store = teller.store()
    with capture_logs() as logs:
        await store.invoices(InvoicePage())
        await store.invoices(InvoicePage())
    assert [one["event"] for one in logs] == [
        "payments are older than their invoices: does the server run in UTC?"
    ]


def crowdfund(app: str, number: int, created: int) -> dict[str, Any]:
    page = f"https://pay.example.org/apps/{app}/crowdfund"
    return {"id": f"{app}{number}", "createdTime": created, "metadata": {"orderUrl": page}}


async def test_invoices_of_an_app_are_found_page_by_page(teller: CannedGreenfield) -> None:
    """By search and by the order's page: the search also finds apps whose id begins alike."""
    made = [crowdfund("app", number, 9_000 - number // 2) for number in range(230)]
    rows = [*made[:50], crowdfund("apple", 1, 8_975), *made[50:]]

    def found(request: Request) -> Response:
        end = int(request.query.get("endDate", ["9999999999"])[0])
        skip, take = (int(request.query[name][0]) for name in ("skip", "take"))
        page = [row for row in rows if row["createdTime"] <= end][skip : skip + take]
        del rows[0]  # the server cleans up meanwhile: what comes after moves up
        return shown(page)

    teller.tell("/invoices", found)
    ids = await teller.store().app_invoice_ids("app", start=3, end=9_500)
    assert ids == {one["id"] for one in made}
    assert all(one.query["textSearch"] == ["crowdfund-app_app"] for one in teller.requests)
    assert all(one.query["startDate"] == ["3"] for one in teller.requests)
    assert len(teller.requests) == 3


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
    teller: CannedGreenfield, page: object, *, is_its: bool
) -> None:
    row = {"id": "x", "createdTime": 5, "metadata": {"orderUrl": page}}
    teller.tell("/invoices", shown([row, {**row, "id": "y", "metadata": "none"}, {"id": ""}]))
    assert await teller.store().app_invoice_ids("app") == ({"x", "y"} if is_its else {"y"})


async def test_a_search_without_end_is_given_up() -> None:
    answer = httpx.Response(200, json=[{}] * 100)
    settings = StoreSettings("shop", "http://pay.test", STORE, KEY)
    transport = httpx.MockTransport(lambda _request: answer)
    store = Greenfield(settings, transport=transport, retry_policy=HURRY)
    with pytest.raises(BadData):
        await store.app_invoice_ids("app")
    await store.close()


async def test_refunds_are_read_whole(teller: CannedGreenfield) -> None:
    teller.tell("/pull-payments", shown([*vector("pull_payments"), {"id": 5}]))
    teller.tell("/payouts", shown(vector("payouts")))
    store = teller.store()
    (offer,) = await store.pull_payments()
    (payout,) = await store.payouts()
    assert payout.pull_payment_id == offer.id
    assert [one.query for one in teller.requests] == [
        {"includeArchived": ["true"]},
        {"includeCancelled": ["true"]},
    ]
    assert store.stats.errors == {"bad_row": 1}


async def test_a_webhook_is_listed_created_and_made_ours(teller: CannedGreenfield) -> None:
    created = vector("webhook_create_response")
    teller.tell(
        "/webhooks",
        lambda request: shown(
            created if request.method == "POST" else vector("webhook_list_response")
        ),
    )
    adopted = {key: value for key, value in created.items() if key != "secret"}
    teller.tell(f"/webhooks/{created['id']}", shown(adopted))
    teller.tell(
        f"/webhooks/{created['id']}/deliveries", shown(vector("webhook_deliveries_response"))
    )
    store = teller.store()
    (listed,) = await store.webhooks()
    made = await store.create_webhook("https://here/hook", "s3cret", ["InvoiceSettled"])
    ours = await store.replace_webhook(listed.id, "https://here/hook", None, ["InvoiceSettled"])
    sent = await store.deliveries(listed.id, 50)
    assert made == ours
    assert len(sent) == 6
    _, post, put, deliveries = teller.requests
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


async def test_a_refused_webhook_names_what_was_wrong(teller: CannedGreenfield) -> None:
    teller.tell("/webhooks", shown([{"path": "Url", "message": "Invalid Url"}], 422))
    with pytest.raises(Refused) as caught:
        await teller.store().create_webhook("here", "s", [])
    assert caught.value.detail == "refuses the question as wrong (Url)"

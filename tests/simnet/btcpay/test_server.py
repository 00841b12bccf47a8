"""The Greenfield routes of the simnet's BTCPay Server, asked as a client asks them."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.rig import vectors

pytest.importorskip("pbk")

from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import V1_13, V2_4_1, ApiVersion
from raised_simnet.btcpay.faults import ApiFaults
from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.permission import READ, VIEW_STORE, WEBHOOKS
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.store import CrowdfundApp, Store

VECTORS = vectors.BTCPAY
ERRORS = {row["name"]: row for row in json.loads((VECTORS / "error_bodies.json").read_bytes())}
START = 1_700_000_000
TEN = Order("10.00")


class Shop:
    """A server with a store, a key for everything, and a client that uses it."""

    def __init__(self, folder: Path, dialect: ApiVersion = V2_4_1) -> None:
        self.now = START
        self.chain = RegtestChain(folder, START)
        self.server = BTCPayServer(self.chain, dialect=dialect, clock=lambda: self.now)
        self.server.start()
        self.store = self.server.office.open_store("shop")
        key = self.server.key(self.store, (*READ, VIEW_STORE, WEBHOOKS))
        headers = {"Authorization": f"token {key.key}"}
        self.client = httpx.Client(
            base_url=self.server.url, headers=headers, trust_env=False, verify=False
        )

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.chain.close()

    def get(self, path: str, **asked: Any) -> httpx.Response:
        return self.client.get(f"/api/v1/{path}", params=asked)

    @property
    def invoices(self) -> str:
        return f"stores/{self.store.id}/invoices"

    def listed(self, **asked: Any) -> list[str]:
        return [row["id"] for row in self.get(self.invoices, **asked).json()]

    def order(self, order: Order = TEN, store: Store | None = None) -> str:
        return self.server.office.order(store or self.store, order).id


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()


@pytest.fixture
def old_shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path, V1_13)
    yield shop
    shop.close()


def check(response: httpx.Response, name: str) -> None:
    """The answer is the vector's, with its layout where it has a body."""
    wanted = ERRORS[name]
    assert response.status_code == wanted["status"]
    assert response.headers.get("content-type") == wanted["content_type"]
    if isinstance(wanted["body"], str):
        assert response.text == wanted["body"]
    elif wanted["body"] is None:
        assert response.content == b""
    else:
        assert response.text == json.dumps(wanted["body"], indent=2, ensure_ascii=False)


def test_who_has_no_key_or_an_unknown_one_is_told_so(shop: Shop) -> None:
    url = f"{shop.server.url}/api/v1/{shop.invoices}"
    check(httpx.get(url), "unauthenticated_no_header")
    header = {"Authorization": "token " + "1" * 40}
    check(httpx.get(url, headers=header), "unauthenticated_unknown_key")
    assert httpx.get(f"{shop.server.url}/api/v1/health").json() == {"synchronized": True}


def test_a_revoked_key_is_unknown(shop: Shop) -> None:
    key = shop.server.key(shop.store)
    shop.client.headers["Authorization"] = f"TOKEN {key.key}"
    assert shop.get(shop.invoices).json() == []
    shop.server.revoke(key)
    check(shop.get(shop.invoices), "unauthenticated_unknown_key")


def test_what_a_key_may_not_see_is_a_missing_permission(shop: Shop) -> None:
    other = shop.server.office.open_store("other")
    check(shop.get(f"stores/{other.id}/invoices"), "missing_permission")
    check(shop.get("stores/nowhere/invoices"), "missing_permission")
    key = shop.server.key(shop.store)
    shop.client.headers["Authorization"] = f"token {key.key}"
    check(shop.get(f"stores/{shop.store.id}/webhooks"), "missing_permission_webhooks")
    assert shop.get(shop.invoices).status_code == 200


def test_a_key_for_all_stores_sees_all_stores(shop: Shop) -> None:
    shop.server.office.open_store("other")
    key = shop.server.add_key("all", [VIEW_STORE])
    shop.client.headers["Authorization"] = f"token {key.key}"
    assert [row["name"] for row in shop.get("stores").json()] == ["shop", "other"]
    assert shop.get(shop.invoices).status_code == 200


def test_an_unknown_invoice_is_a_missing_permission_from_2_4_on(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(shop.get(f"{shop.invoices}/unknown"), "unknown_invoice_2.4")
    old = Shop(tmp_path_factory.mktemp("old"), V1_13)
    check(old.get(f"{old.invoices}/unknown"), "invoice_not_found")
    check(old.get(f"stores/{old.store.id}/webhooks/unknown"), "webhook_not_found")
    old.close()


def test_a_path_that_does_not_exist_has_an_empty_answer(shop: Shop) -> None:
    check(shop.get("stores/x/y/z"), "unknown_route")
    check(shop.client.get("/elsewhere"), "unknown_route")
    moved = f"stores/{shop.store.id}/payment-methods/LightningNetwork"
    check(shop.get(moved), "obsolete_route_2.x")


def test_a_window_that_cannot_be_is_named(shop: Shop) -> None:
    asked = {"startDate": 1773144000, "endDate": 1773000000}
    check(shop.get(shop.invoices, **asked), "validation_dates_inverted")
    check(shop.get(shop.invoices, startDate="2026-03-01"), "validation_bad_timestamp")


def test_a_list_is_newest_first_and_unbounded_unless_told(shop: Shop) -> None:
    ids = []
    for second in range(5):
        shop.now = START + second
        ids.append(shop.order())
    assert shop.listed() == ids[::-1]
    assert shop.listed(skip=1, take=2) == ids[::-1][1:3]
    assert shop.listed(skip=9) == []
    assert shop.listed(startDate=START + 1, endDate=START + 3) == ids[3:0:-1]


def test_rows_of_one_second_come_in_any_order(shop: Shop) -> None:
    for _ in range(8):
        shop.order()
    assert len({tuple(shop.listed()) for _ in range(10)}) > 1
    assert len({tuple(sorted(shop.listed())) for _ in range(10)}) == 1


def test_statuses_may_be_repeated_and_unknown_ones_are_dropped(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    new, marked = shop.order(), shop.order()
    shop.server.office.mark(marked, Status.INVALID)
    assert shop.listed(status="invalid") == [marked]
    assert set(shop.listed(status=["new", "Invalid"])) == {new, marked}
    assert set(shop.listed(status="frozen")) == {new, marked}
    assert shop.listed(status=["frozen", "new"]) == [new]
    assert shop.listed(status="complete") == []
    old = Shop(tmp_path_factory.mktemp("old"), V1_13)
    old.order()
    assert old.listed(status="frozen") == []
    old.close()


def test_archived_invoices_are_shown_on_request_only(shop: Shop) -> None:
    invoice = shop.order()
    shop.server.office.archive(invoice)
    assert shop.listed() == []
    assert shop.listed(includeArchived="true") == [invoice]
    assert shop.get(f"{shop.invoices}/{invoice}").json()["archived"] is True


def test_payment_methods_are_in_a_list_on_request_only(shop: Shop) -> None:
    invoice = shop.order()
    assert shop.get(shop.invoices).json()[0]["paymentMethods"] == []
    inline = shop.get(shop.invoices, includePaymentMethods="true").json()[0]["paymentMethods"]
    assert inline == shop.get(f"{shop.invoices}/{invoice}/payment-methods").json()
    assert [method["paymentMethodId"] for method in inline] == ["BTC-CHAIN", "BTC-LN"]
    assert inline[0]["amount"] == "0.0001553"  # 10 / 64392.23, rounded up


def test_a_1_13_server_knows_neither_inline_methods_nor_new_names(old_shop: Shop) -> None:
    invoice = old_shop.order()
    (row,) = old_shop.get(old_shop.invoices, includePaymentMethods="true").json()
    assert "paymentMethods" not in row
    assert "paidAmount" not in row
    (chain, lightning) = old_shop.get(f"{old_shop.invoices}/{invoice}/payment-methods").json()
    assert (chain["paymentMethod"], chain["cryptoCode"]) == ("BTC", "BTC")
    assert lightning["paymentMethod"] == "BTC-LightningNetwork"


def test_text_is_searched_by_its_beginning(shop: Shop) -> None:
    app = Order("5.00", app_id="3abc", metadata={"orderId": "x", "orderUrl": "/apps/3abc"})
    longer = Order("5.00", app_id="3abcd", metadata={"orderId": "ICE-7", "buyerEmail": "a@b.c"})
    first, second = shop.order(app), shop.order(longer)
    assert set(shop.listed(textSearch="crowdfund-app_3abc")) == {first, second}
    assert shop.listed(textSearch="crowdfund-app_3abcd") == [second]
    assert shop.listed(textSearch="ICE") == [second]
    assert shop.listed(textSearch="ice") == []
    assert shop.listed(textSearch="CE-7") == []
    assert shop.listed(textSearch="a@b") == [second]
    assert shop.listed(orderId="ICE-7") == [second]
    assert shop.listed(orderId="ICE") == []


def test_an_invoice_that_was_deleted_is_gone_and_soon_unknown(shop: Shop) -> None:
    invoice = shop.order()
    for days in (1, 182, 184):
        shop.now = START + days * 86400
        shop.server.look()
        assert shop.listed() == ([] if days == 184 else [invoice])
    check(shop.get(f"{shop.invoices}/{invoice}"), "invoice_not_found")
    shop.now += 601
    check(shop.get(f"{shop.invoices}/{invoice}"), "unknown_invoice_2.4")


def test_the_server_names_its_version_and_height(shop: Shop) -> None:
    shop.chain.mine_many(3)
    info = shop.get("server/info").json()
    wanted = json.loads((VECTORS / "server_info_2.x.json").read_bytes())
    assert list(info) == list(wanted)
    assert info["version"] == wanted["version"]
    assert info["supportedPaymentMethods"] == wanted["supportedPaymentMethods"]
    assert list(info["syncStatus"][0]) == list(wanted["syncStatus"][0])
    assert info["syncStatus"][0]["chainHeight"] == 3
    shop.server.office.synchronized = False
    assert shop.get("health").json() == {"synchronized": False}


def test_an_old_server_names_coins_where_a_new_one_names_methods(old_shop: Shop) -> None:
    info = old_shop.get("server/info").json()
    wanted = json.loads((VECTORS / "server_info_1.13.json").read_bytes())
    assert list(info["syncStatus"][0]) == list(wanted["syncStatus"][0])
    assert info["supportedPaymentMethods"] == wanted["supportedPaymentMethods"]


def test_a_rate_that_cannot_be_had_is_null(shop: Shop) -> None:
    path = f"stores/{shop.store.id}/rates"
    rates = shop.get(path, currencyPair=["BTC_USD", "BTC_XXX"])
    assert rates.content + b"\n" == (VECTORS / "rates.json").read_bytes()


def test_a_key_sees_itself(shop: Shop) -> None:
    shown = shop.get("api-keys/current").json()
    assert shop.client.headers["Authorization"] == f"token {shown['apiKey']}"
    assert f"btcpay.store.canviewinvoices:{shop.store.id}" in shown["permissions"]


def test_refunds_and_payouts_are_listed(shop: Shop) -> None:
    office = shop.server.office
    pull = office.refund(shop.order(), 18798)
    payout = office.refund_desk.claim(pull, "bcrt1q")
    office.refund_desk.approve(payout)
    (shown,) = shop.get(f"stores/{shop.store.id}/pull-payments").json()
    assert shown["name"].startswith("Refund ")
    (paid,) = shop.get(f"stores/{shop.store.id}/payouts").json()
    assert (paid["payoutAmount"], paid["state"]) == ("0.00018798", "AwaitingPayment")
    office.refund_desk.cancel(payout)
    assert shop.get(f"stores/{shop.store.id}/payouts").json() == []
    assert len(shop.get(f"stores/{shop.store.id}/payouts", includeCancelled="true").json()) == 1
    pull.archived = True
    assert shop.get(f"stores/{shop.store.id}/pull-payments").json() == []


def test_a_crowdfund_app_can_be_read_with_any_key(shop: Shop) -> None:
    app = CrowdfundApp("app1", "Sea ice", Decimal("1500.5"), "EUR")
    shop.store.apps[app.id] = app
    shown = shop.get("apps/crowdfund/app1").json()
    assert (shown["title"], shown["targetAmount"]) == ("Sea ice", 1500.5)
    assert shop.get("apps/crowdfund/none").status_code == 404


@pytest.mark.parametrize(
    ("trouble", "name"),
    [
        (ApiFaults(status=500), "server_error"),
        (ApiFaults(status=502), "reverse_proxy_down"),
        (ApiFaults(status=401), "unauthenticated_unknown_key"),
        (ApiFaults(status=403), "missing_permission"),
    ],
)
def test_trouble_looks_as_the_vectors_say(shop: Shop, trouble: ApiFaults, name: str) -> None:
    shop.server.trouble = trouble
    check(shop.get(shop.invoices), name)
    shop.server.trouble = ApiFaults()
    assert shop.get(shop.invoices).json() == []


def test_trouble_can_befall_one_route_a_few_times(shop: Shop) -> None:
    only = {"stores/:store/invoices"}
    shop.server.trouble = ApiFaults(status=429, retry_after=3, only=only, left=2)
    answers = [shop.get(shop.invoices) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "3"
    assert shop.server.counts == {"stores/:store/invoices": 3}


def test_an_answer_can_be_a_page_or_cut_off(shop: Shop) -> None:
    shop.order()
    shop.server.trouble = ApiFaults(html=True)
    assert shop.get(shop.invoices).headers["content-type"] == "text/html"
    shop.server.trouble = ApiFaults(cut=True)
    with pytest.raises(httpx.RemoteProtocolError):
        shop.get(shop.invoices)


def test_a_server_that_is_down_answers_nobody_and_comes_back_on_its_port(shop: Shop) -> None:
    invoice = shop.order()
    shop.server.down()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{shop.server.url}/api/v1/health", trust_env=False)
    shop.server.up()
    assert shop.listed() == [invoice]


def test_a_server_that_cannot_be_reached_runs_on(shop: Shop) -> None:
    shop.server.unreachable(unreachable=True)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{shop.server.url}/api/v1/health", trust_env=False)
    invoice = shop.order()
    shop.now += 3600
    shop.server.look()
    shop.server.unreachable(unreachable=False)
    assert shop.get(f"{shop.invoices}/{invoice}").json()["status"] == "Expired"


def test_every_way_to_pay_has_the_keys_of_the_vectors(shop: Shop) -> None:
    methods = ("BTC-CHAIN", "BTC-LN", "BTC-LNURL")
    invoice = shop.order(Order("21000", "SATS", methods=methods))
    wanted = json.loads((VECTORS / "payment_methods" / "lightning_settled_2.x.json").read_bytes())
    shown = shop.get(f"{shop.invoices}/{invoice}/payment-methods").json()
    assert [list(method) for method in shown] == [list(method) for method in wanted]
    opaque = [list(method["additionalData"]) for method in shown]
    assert opaque == [list(method["additionalData"]) for method in wanted]
    assert shown[2]["paymentLink"].endswith(f"/UILNURL/pay/i/{invoice}")
    assert {method["rate"] for method in shown} == {"100000000"}
    assert {method["due"] for method in shown} == {"0.00021"}


def test_what_lightning_paid_shows_its_preimage(shop: Shop) -> None:
    """A proof of payment, which whoever reads this has to drop."""
    invoice = shop.order(Order("21000", "SATS"))
    shop.server.office.pay_lightning(invoice, 21_000_000)
    (_, lightning) = shop.get(f"{shop.invoices}/{invoice}/payment-methods").json()
    assert len(lightning["additionalData"]["preimage"]) == 64
    assert lightning["payments"][0]["id"] == lightning["additionalData"]["paymentHash"]

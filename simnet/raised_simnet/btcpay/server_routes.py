"""Greenfield routes of server, keys, stores, rates, refunds, apps. Source: docs/btcpay.md 10."""

from decimal import Decimal
from typing import Final

from raised_simnet.btcpay.api_request import ApiRequest
from raised_simnet.btcpay.decimals import plain
from raised_simnet.btcpay.error_responses import answer, coded, missing_permission
from raised_simnet.btcpay.invoice import LIGHTNING, LNURL, ON_CHAIN
from raised_simnet.btcpay.permission import MODIFY_STORE, VIEW_PAYOUTS, VIEW_PULLS, VIEW_STORE
from raised_simnet.btcpay.refund import PayoutState
from raised_simnet.btcpay.store import Store
from raised_simnet.http.http_server import Response
from raised_simnet.http.url_routing import HttpError, Router

Json = dict[str, object]
ROUTES: Final[Router[ApiRequest]] = Router()


@ROUTES.add("health")
def _health(request: ApiRequest) -> Response:
    """No key is needed."""
    return answer({"synchronized": request.office.synchronized})


@ROUTES.add("server/info")
def _server(request: ApiRequest) -> Response:
    request.key()
    office = request.office
    dialect, height = office.dialect, office.height
    node = {"headers": height, "blocks": height, "verificationProgress": 0.9999987}
    name = {"cryptoCode": "BTC"} if dialect.old else {"paymentMethodId": ON_CHAIN}
    status: Json = {**name, "available": True, "chainHeight": height, "syncHeight": height}
    return answer(
        {
            "version": dialect.version,
            "onion": None,
            "supportedPaymentMethods": [
                dialect.method_name(method) for method in (ON_CHAIN, LIGHTNING, LNURL)
            ],
            "fullySynched": office.synchronized,
            "syncStatus": [{**status, "nodeInformation": node}],
        }
    )


@ROUTES.add("api-keys/current")
def _current_key(request: ApiRequest) -> Response:
    return answer(request.key().as_json())


@ROUTES.add("stores")
def _stores(request: ApiRequest) -> Response:
    """Those the key may see."""
    key, stores = request.key(), request.office.stores.values()
    return answer([store.as_json() for store in stores if key.may(VIEW_STORE, store.id)])


@ROUTES.add("stores/:store")
def _store(request: ApiRequest) -> Response:
    return answer(request.store(VIEW_STORE).as_json())


@ROUTES.add("stores/:store/rates")
def _rates(request: ApiRequest) -> Response:
    """What cannot be had is null, with a reason and status 200."""
    store = request.store(VIEW_STORE)
    pairs = request.texts("currencyPair") or [f"BTC_{currency}" for currency in store.rates]
    return answer([_rate(store, pair) for pair in pairs])


@ROUTES.add("stores/:store/pull-payments")
def _pull_payments(request: ApiRequest) -> Response:
    store, archived = request.store(VIEW_PULLS), request.flag("includeArchived")
    pulls = store.pulls.values()
    return answer([pull.as_json(request.host) for pull in pulls if archived or not pull.archived])


@ROUTES.add("stores/:store/payouts")
def _payouts(request: ApiRequest) -> Response:
    store, cancelled = request.store(VIEW_PAYOUTS), request.flag("includeCancelled")
    shown = [
        payout
        for payout in store.payouts.values()
        if cancelled or payout.state is not PayoutState.CANCELLED
    ]
    return answer([payout.as_json(request.office.dialect) for payout in shown])


@ROUTES.add("stores/:store/payment-methods/LightningNetwork")
def _moved(request: ApiRequest) -> Response:
    request.key()
    message = (
        "This route isn't supported by BTCPay Server 2.0 and newer. Please update your integration."
    )
    return coded(410, "unsupported-in-v2", message)


@ROUTES.add("apps/crowdfund/:app")
def _crowdfund(request: ApiRequest) -> Response:
    """From 2.0 any key will do."""
    key = request.key()
    for store in request.office.stores.values():
        app = store.apps.get(request.params["app"])
        if app is None:
            continue
        if request.office.dialect.old and not key.may(MODIFY_STORE, store.id):
            raise HttpError(403, missing_permission(MODIFY_STORE))
        return answer(
            {
                "id": app.id,
                "appType": "Crowdfund",
                "name": app.title,
                "storeId": store.id,
                "archived": False,
                "title": app.title,
                "startDate": None,
                "endDate": None,
                "targetCurrency": app.currency,
                "targetAmount": _number(app.target),
                "resetEvery": "Never",
                "perks": [],
            }
        )
    return coded(404, "app-not-found", "The app with specified ID was not found")


def _rate(store: Store, pair: str) -> Json:
    coin, _, currency = pair.partition("_")
    rate = store.rates.get(currency) if coin == "BTC" else None
    errors = [] if rate is not None else ["RateUnavailable"]
    text = None if rate is None else plain(rate)
    return {"currencyPair": pair, "rate": text, "errors": errors}


def _number(amount: Decimal) -> int | float:
    """Money that the server writes as a JSON number. Source: docs/btcpay.md 4.6."""
    return int(amount) if amount == int(amount) else float(amount)

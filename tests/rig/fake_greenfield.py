"""A small store of a BTCPay Server, over real HTTP: invoices that a test changes as it likes."""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tests.rig.canned_greenfield import STORE, json_response, vector

from raised_simnet.http.http_server import Request, Response, WebServer

BORN: Final = 1_773_000_000
ROOT: Final = "/api/v1/"
BELOW: Final = f"{ROOT}stores/{STORE}"
GONE: Final = json_response(
    {"code": "invoice-not-found", "message": "The invoice was not found"}, 404
)
UNAUTHENTICATED: Final = json_response({"code": "unauthenticated", "message": "no"}, 401)
BROKEN: Final = Response(502, b"<html><body>502 Bad Gateway</body></html>", "text/html")

Json = dict[str, Any]
Override = Callable[[Request], Response | None]
Delay = Callable[[Request], Awaitable[None]]


def forbidden(permission: str) -> Response:
    """What a key without this permission gets."""
    return json_response(
        {"missingPermission": permission, "code": "missing-permission", "message": ""}, 403
    )


def is_list(request: Request) -> bool:
    """Whether a page of invoices is asked for; not the one row of a check."""
    return request.path == f"{BELOW}/invoices" and request.query["take"] != ["1"]


def invoice_id_of(request: Request) -> str | None:
    """The invoice that is asked for by itself."""
    invoice_id = request.path.removeprefix(f"{BELOW}/invoices/")
    return None if invoice_id == request.path or "/" in invoice_id else invoice_id


class HeldRequests:
    """Holds back requests that match, until `release` or the end of the server.

    `arrived`: one is held back. A `Delay` of `FakeGreenfield`.
    """

    def __init__(self, matches: Callable[[Request], object]) -> None:
        self.arrived = threading.Event()
        self._matches = matches
        self._released = threading.Event()

    def release(self) -> None:
        """Let them go, and hold back no more."""
        self._released.set()

    async def __call__(self, request: Request) -> None:
        if not self._matches(request) or self._released.is_set():
            return
        self.arrived.set()
        while not self._released.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.002)


def payment(number: int, status: str = "Settled", value: str = "0.001") -> Json:
    """A payment on the chain."""
    return {
        "id": f"{number:064x}-0",
        "receivedDate": BORN + 10,
        "value": value,
        "fee": "0",
        "status": status,
        "destination": "bc1q",
    }


class FakeGreenfield:
    """The server. `overrides` see every request first and may answer it.

    `before_answer` and `after_answer` delay a request before and after its answer is made.
    `requests`: path below the store, with its query, in the order they came.
    """

    def __init__(self) -> None:
        self.invoices: dict[str, Json] = {}
        self.payments: dict[str, list[Json]] = {}
        self.apps: dict[str, set[str]] = {}
        self.pull_payments: list[Json] = []
        self.payouts: list[Json] = []
        self.webhooks: list[Json] = []
        self.deliveries: list[Json] = []
        self.permissions = ["unrestricted"]
        self.version = "2.4.5"
        self.synchronized = True
        self.overrides: list[Override] = []
        self.requests: list[str] = []
        self.before_answer: Delay | None = None
        self.after_answer: Delay | None = None
        self.lock = threading.RLock()
        self._dice = random.Random(7)
        self._web = WebServer(self._answer)
        self.start, self.stop, self.refuse = self._web.start, self._web.stop, self._web.refuse

    @property
    def url(self) -> str:
        return self._web.url

    def add(self, invoice_id: str, status: str = "New", at: int = BORN, **changes: Any) -> Json:
        """An invoice, with whatever payments it was given."""
        row = {
            **vector("invoice_single_2.4.1"),
            "id": invoice_id,
            "status": status,
            "additionalStatus": "None",
            "createdTime": at,
            "expirationTime": at + 900,
            "monitoringExpiration": at + 900 + 86_400,
            "archived": False,
            "metadata": {"orderId": f"order-{invoice_id}"},
            **changes,
        }
        with self.lock:
            self.invoices[invoice_id] = row
        return row

    def add_many(self, count: int, **changes: Any) -> list[str]:
        """Invoices an hour apart, newest first; their ids."""
        ids = [f"inv{number:04}" for number in range(count)]
        for number, invoice_id in enumerate(ids):
            self.add(invoice_id, at=BORN - number * 3600, **changes)
        return ids

    def pay(self, invoice_id: str, *payments: Json) -> None:
        """What it was paid with from now on."""
        with self.lock:
            self.payments[invoice_id] = list(payments)

    def count(self, beginning: str) -> int:
        """How many requests began so."""
        return sum(request.startswith(beginning) for request in self.requests)

    async def _answer(self, request: Request) -> Response:
        if self.before_answer is not None:
            await self.before_answer(request)
        answer = self._answer_locked(request)
        if self.after_answer is not None:
            await self.after_answer(request)
        return answer

    def _answer_locked(self, request: Request) -> Response:
        with self.lock:
            self.requests.append(request.target.removeprefix(BELOW).removeprefix(ROOT))
            for trick in list(self.overrides):
                answer = trick(request)
                if answer is not None:
                    return answer
            return self._route(request)

    def _route(self, request: Request) -> Response:
        path = request.path
        fixed: dict[str, Any] = {
            f"{ROOT}health": {"synchronized": self.synchronized},
            f"{ROOT}server/info": {
                **vector("server_info_2.x"),
                "version": self.version,
                "fullySynched": self.synchronized,
            },
            f"{ROOT}api-keys/current": {"apiKey": "0" * 40, "permissions": self.permissions},
            BELOW: {"invoiceExpiration": 900, "monitoringExpiration": 86_400},
            f"{BELOW}/pull-payments": self.pull_payments,
            f"{BELOW}/payouts": self.payouts,
            f"{BELOW}/webhooks": self.webhooks,
        }
        if path in fixed:
            return json_response(fixed[path])
        if path.startswith(f"{BELOW}/webhooks/"):
            return json_response(self.deliveries)
        if path == f"{BELOW}/invoices":
            return json_response(self._list_json(request.query))
        invoice_id, _, rest = path.removeprefix(f"{BELOW}/invoices/").partition("/")
        if invoice_id not in self.invoices:
            return GONE
        if rest == "payment-methods":
            only = request.query.get("onlyAccountedPayments", ["true"])[0] == "true"
            return json_response(self._payment_methods_json(invoice_id, accounted_only=only))
        return json_response(self._invoice_json(invoice_id, request.query))

    def _list_json(self, query: dict[str, list[str]]) -> list[Json]:
        def bound(name: str, otherwise: int) -> int:
            return int(query.get(name, [str(otherwise)])[0])

        start, end = bound("startDate", 0), bound("endDate", 2**40)
        statuses = query.get("status")
        text = query.get("textSearch", [""])[0].removeprefix("crowdfund-app_")
        listed = [
            row
            for row in self.invoices.values()
            if start <= row["createdTime"] <= end
            and (not statuses or row["status"].lower() in statuses)
            and (
                not text
                or any(row["id"] in made for app, made in self.apps.items() if app.startswith(text))
            )
        ]
        self._dice.shuffle(listed)  # rows of one second have no order
        listed.sort(key=lambda row: -int(row["createdTime"]))
        skip = bound("skip", 0)
        shown = listed[skip : skip + bound("take", 10**9)]
        return [self._invoice_json(row["id"], query) for row in shown]

    def _invoice_json(self, invoice_id: str, query: dict[str, list[str]]) -> Json:
        is_asked = query.get("includePaymentMethods") == ["true"]
        methods = self._payment_methods_json(invoice_id, accounted_only=True)
        return {**self.invoices[invoice_id], "paymentMethods": methods if is_asked else []}

    def _payment_methods_json(self, invoice_id: str, *, accounted_only: bool) -> list[Json]:
        paid: Sequence[Json] = self.payments.get(invoice_id, ())
        listed = [row for row in paid if row["status"] != "Invalid" or not accounted_only]
        return [
            {"paymentMethodId": "BTC-CHAIN", "currency": "BTC", "rate": "65000", "payments": listed}
        ]

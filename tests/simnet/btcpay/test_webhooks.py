"""How the simnet's BTCPay Server posts webhooks: in order, again, signed, and not for ever."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.rig import vectors
from tests.rig.deadline import DEADLINE_SECONDS, wait_until

pytest.importorskip("pbk")

from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import V1_13, V2_4_1, ApiVersion
from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.permission import READ, WEBHOOKS
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.webhook import Webhook
from raised_simnet.http.http_server import Request, Response, WebServer

VECTORS = vectors.BTCPAY
ERRORS = {row["name"]: row for row in json.loads((VECTORS / "error_bodies.json").read_bytes())}
START = 1_700_000_000
SECRET = "a secret with ż"
QUICK = 0.0002  # 10 s are 2 ms
PATIENT = 0.01  # 10 s are 0.1 s, all nine attempts take 37 s
ONE = Order("1.00")
Json = dict[str, Any]


class WebhookSetup:
    """A server with a webhook, and a receiver that answers what `codes` says, then 200.

    While `may_answer` is not set, requests are received and not answered.
    """

    def __init__(
        self, folder: Path, dialect: ApiVersion = V2_4_1, time_scale: float = QUICK
    ) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.requests: list[Request] = []
        self.codes: list[int] = []
        self.redirects = False
        self.inbox = WebServer(self._receive)
        self.inbox.start()
        self.chain = RegtestChain(folder, START)
        self.server = BTCPayServer(
            self.chain, dialect=dialect, clock=lambda: START, time_scale=time_scale
        )
        self.server.start()
        self.store = self.server.office.open_store("shop")
        self.hook = self.server.add_hook(self.store, f"{self.inbox.url}/hook", SECRET)
        key = self.server.key(self.store, (*READ, WEBHOOKS))
        self.client = httpx.Client(
            base_url=f"{self.server.url}/api/v1/stores/{self.store.id}",
            headers={"Authorization": f"token {key.key}"},
            trust_env=False,
            verify=False,
        )

    async def _receive(self, request: Request) -> Response:
        self.requests.append(request)
        while not self.may_answer.is_set():  # noqa: ASYNC110 - set by the thread of the test
            await asyncio.sleep(0.002)
        if self.redirects and request.method == "POST":
            return Response(302, headers={"Location": f"{self.inbox.url}/elsewhere"})
        return Response(self.codes.pop(0) if self.codes else 200)

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.inbox.stop()
        self.chain.close()

    def order(self, count: int = 1) -> list[str]:
        return [self.server.office.order(self.store, ONE).id for _ in range(count)]

    def received(self) -> list[Json]:
        """The bodies of everything received once nothing is on its way."""
        assert self.server.drained(DEADLINE_SECONDS)
        return [json.loads(request.body) for request in self.requests]

    def deliveries(self, hook: Webhook | None = None, **asked: Any) -> list[Json]:
        path = f"/webhooks/{(hook or self.hook).id}/deliveries"
        found: list[Json] = self.client.get(path, params=asked).json()
        return found


@pytest.fixture
def post(tmp_path: Path) -> Iterator[WebhookSetup]:
    post = WebhookSetup(tmp_path)
    yield post
    post.close()


@pytest.fixture
def patient_post(tmp_path: Path) -> Iterator[WebhookSetup]:
    post = WebhookSetup(tmp_path, time_scale=PATIENT)
    yield post
    post.close()


@pytest.fixture
def old_post(tmp_path: Path) -> Iterator[WebhookSetup]:
    post = WebhookSetup(tmp_path, V1_13)
    yield post
    post.close()


def test_a_delivery_is_signed_over_its_raw_bytes(post: WebhookSetup) -> None:
    post.order()
    post.received()
    (request,) = post.requests
    digest = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["btcpay-sig"] == f"sha256={digest}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "BTCPayServer/2.4.1"
    assert request.body.startswith(b'{\n  "deliveryId"')
    assert not request.body.endswith(b"\n")


def test_events_come_in_their_order(post: WebhookSetup) -> None:
    ids = post.order(5)
    post.server.office.mark(ids[0], Status.SETTLED)
    bodies = post.received()
    assert [body["invoiceId"] for body in bodies] == [*ids, ids[0]]
    assert bodies[-1]["type"] == "InvoiceSettled"
    assert all(body["webhookId"] == post.hook.id for body in bodies)


def test_a_failing_event_is_repeated_with_new_ids_and_holds_back_what_follows(
    post: WebhookSetup,
) -> None:
    post.codes = [500, 503]
    first, second = post.order(2)
    bodies = post.received()
    assert [body["invoiceId"] for body in bodies] == [first, first, first, second]
    one, *again = bodies[:3]
    assert (one["isRedelivery"], one["deliveryId"]) == (False, one["originalDeliveryId"])
    assert {body["originalDeliveryId"] for body in again} == {one["deliveryId"]}
    assert len({body["deliveryId"] for body in bodies}) == 4
    assert all(body["isRedelivery"] for body in again)
    assert {body["timestamp"] for body in bodies[:3]} == {START}


def test_a_repeated_event_has_its_envelope_first(post: WebhookSetup) -> None:
    (invoice,) = post.order()
    post.received()
    post.codes = [500]
    post.server.office.mark(invoice, Status.SETTLED)
    first, again = post.received()[-2:]
    assert list(first)[:3] == ["manuallyMarked", "overPaid", "deliveryId"]
    assert list(again)[:3] == ["deliveryId", "webhookId", "originalDeliveryId"]
    assert list(again)[6:8] == ["manuallyMarked", "overPaid"]


def test_after_nine_attempts_an_event_is_given_up(post: WebhookSetup) -> None:
    post.codes = [500] * 9
    first, second = post.order(2)
    assert [body["invoiceId"] for body in post.received()] == [first] * 9 + [second]


@pytest.mark.parametrize(("code", "attempts"), [(401, 1), (413, 1), (304, 1), (408, 2), (429, 2)])
def test_only_some_refusals_are_repeated(post: WebhookSetup, code: int, attempts: int) -> None:
    post.codes = [code]
    post.order()
    assert len(post.received()) == attempts
    assert post.deliveries()[-1]["status"] == "HttpError"


def test_an_old_server_repeats_every_refusal(old_post: WebhookSetup) -> None:
    old_post.codes = [401, 404]
    old_post.order()
    assert len(old_post.received()) == 3


def test_nobody_there_is_a_failure_and_is_repeated(patient_post: WebhookSetup) -> None:
    post = patient_post  # the listener must be back before the last attempt
    post.inbox.refuse(refuse=True)
    post.order()
    wait_until(lambda: post.hook.deliveries)
    post.inbox.refuse(refuse=False)
    assert len(post.received()) == 1
    shown = post.deliveries()
    assert (shown[0]["status"], shown[0]["httpCode"]) == ("HttpSuccess", 200)
    assert (shown[-1]["status"], shown[-1]["httpCode"]) == ("Failed", None)
    assert f":{post.inbox.port})" in shown[-1]["errorMessage"]


def test_a_redirect_loses_the_body_and_passes_for_a_success(post: WebhookSetup) -> None:
    post.redirects = True
    post.order()
    assert post.server.drained(DEADLINE_SECONDS)
    assert [(r.method, r.body == b"") for r in post.requests] == [("POST", False), ("GET", True)]
    assert post.deliveries()[0]["status"] == "HttpSuccess"


def test_a_restart_loses_what_was_queued_and_what_would_be_repeated(post: WebhookSetup) -> None:
    post.codes = [500] * 3
    post.may_answer.clear()
    post.order(4)
    wait_until(lambda: post.requests)
    post.server.restart()
    post.may_answer.set()  # the first attempt fails now: it would be repeated, three are queued
    assert len(post.received()) == 1
    (after,) = post.order()
    assert post.received()[-1]["invoiceId"] == after


def test_what_was_never_attempted_is_not_in_the_list(post: WebhookSetup) -> None:
    post.hook.faults.hold = True
    post.order(2)
    assert post.deliveries() == []
    post.server.restart()
    post.hook.faults.hold = False
    (after,) = post.order()
    assert [body["invoiceId"] for body in post.received()] == [after]
    assert len(post.deliveries()) == 1


def test_deliveries_are_listed_newest_first_and_can_be_read(post: WebhookSetup) -> None:
    first, second = post.order(2)
    post.received()
    shown = post.deliveries()
    assert list(shown[0]) == list(json.loads(_vector("webhook_deliveries_response"))[0])
    path = f"/webhooks/{post.hook.id}/deliveries"
    asked = [post.client.get(f"{path}/{row['id']}/request") for row in shown]
    assert [answer.json()["invoiceId"] for answer in asked] == [second, first]
    assert asked[0].content == post.requests[1].body
    assert post.deliveries(count=1) == shown[:1]
    assert post.client.get(f"{path}/{shown[0]['id']}").json() == shown[0]


def test_a_delivery_can_be_asked_for_again(post: WebhookSetup) -> None:
    post.order()
    (original,) = post.received()
    path = f"/webhooks/{post.hook.id}/deliveries/{original['deliveryId']}/redeliver"
    new_id = post.client.post(path).json()
    again = post.received()[-1]
    assert again["deliveryId"] == new_id
    assert (again["originalDeliveryId"], again["isRedelivery"]) == (original["deliveryId"], True)
    assert again["timestamp"] == original["timestamp"]


def test_an_unknown_or_a_pruned_delivery_is_named(post: WebhookSetup) -> None:
    path = f"/webhooks/{post.hook.id}/deliveries"
    _check(post.client.post(f"{path}/nothing/redeliver"), "delivery_not_found")
    post.order()
    (body,) = post.received()
    post.server.prune(post.hook)
    _check(post.client.post(f"{path}/{body['deliveryId']}/redeliver"), "delivery_pruned")
    _check(post.client.get(f"{path}/{body['deliveryId']}/request"), "delivery_pruned")


def test_a_webhook_is_made_listed_changed_and_deleted(post: WebhookSetup) -> None:
    row = json.loads(_vector("webhook_create_response"))
    wish = {key: value for key, value in row.items() if key != "id"}
    made = post.client.post("/webhooks", json={**wish, "secret": ""}).json()
    assert list(made) == list(row)
    assert len(made["secret"]) == 22
    shown = post.client.get(f"/webhooks/{made['id']}").json()
    assert "secret" not in shown
    assert len(post.client.get("/webhooks").json()) == 2
    url = "https://analytics.example.org/other"
    changed = post.client.put(f"/webhooks/{made['id']}", json={"url": url}).json()
    assert (changed["url"], changed["authorizedEvents"]["everything"]) == (url, True)
    assert post.store.hooks[made["id"]].secret == made["secret"]
    assert post.client.delete(f"/webhooks/{made['id']}").status_code == 200
    assert len(post.client.get("/webhooks").json()) == 1


def test_a_webhook_made_after_another_was_deleted_is_a_new_one(post: WebhookSetup) -> None:
    wish = {"url": f"{post.inbox.url}/hook"}
    first, second = (post.client.post("/webhooks", json=wish).json()["id"] for _ in range(2))
    post.client.delete(f"/webhooks/{first}")
    third = post.client.post("/webhooks", json=wish).json()["id"]
    ids = {row["id"] for row in post.client.get("/webhooks").json()}
    assert ids == {post.hook.id, second, third}


def test_a_webhook_needs_a_whole_url(post: WebhookSetup) -> None:
    _check(post.client.post("/webhooks", json={"url": "host/path"}), "validation_bad_webhook_url")


def test_only_the_wanted_events_are_sent(post: WebhookSetup) -> None:
    post.hook.wanted = ("InvoiceSettled", "InvoiceMisspelt")
    (invoice,) = post.order()
    post.server.office.mark(invoice, Status.SETTLED)
    assert [body["type"] for body in post.received()] == ["InvoiceSettled"]


def test_each_webhook_has_a_queue_of_its_own(post: WebhookSetup) -> None:
    post.hook.faults.hold = True
    other = post.server.add_hook(post.store, f"{post.inbox.url}/other", SECRET)
    post.order(2)
    wait_until(lambda: len(other.deliveries) == 2)
    assert {request.path for request in post.requests} == {"/other"}
    post.hook.faults.hold = False
    assert len(post.received()) == 4


def test_deliveries_can_be_lost_doubled_and_shuffled(post: WebhookSetup) -> None:
    post.hook.faults.lose = 2
    lost = post.order(2)
    post.hook.faults.twice = True
    (twice,) = post.order()
    assert [body["invoiceId"] for body in post.received()] == [twice, twice]
    assert not {twice} & set(lost)
    post.hook.faults.twice, post.hook.faults.hold, post.hook.faults.shuffle = False, True, True
    ids = post.order(10)
    post.hook.faults.hold = False
    came = [body["invoiceId"] for body in post.received()[2:]]
    assert sorted(came) == sorted(ids)
    assert came != ids


def test_the_same_seed_gives_the_same_deliveries(tmp_path_factory: pytest.TempPathFactory) -> None:
    sent = []
    for _ in range(2):
        post = WebhookSetup(tmp_path_factory.mktemp("chain"))
        post.codes = [500]
        post.order()
        post.received()  # an id of the second order must not race with one of a repeat
        post.order()
        sent.append(post.received())
        post.close()
    assert sent[0] == sent[1]


def _vector(name: str) -> bytes:
    return (VECTORS / f"{name}.json").read_bytes()


def _check(response: httpx.Response, name: str) -> None:
    wanted = ERRORS[name]
    assert response.status_code == wanted["status"]
    assert response.json() == wanted["body"]

"""What the server's own log of deliveries says of our webhook (docs/btcpay.md 12.5)."""

from typing import cast

import pytest
from tests.rig.canned_greenfield import vector

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.server_json import SentDelivery, Webhook, parse_delivery
from raised.btcpay.settings import StoreSettings
from raised.btcpay.store import allows, is_outdated
from raised.btcpay.webhook import assess_deliveries, check_webhook
from raised.domain.json_object import as_object

NOW = 1_773_127_000
SECONDS = {"ok": 200, "refused": 401, "moved": 302, "busy": 503, "slow": 429, "silent": None}


def sent(ago: int, how: str = "ok", wait: int = 0, is_dated: bool = True) -> SentDelivery:
    code = SECONDS[how]
    status = "Failed" if code is None else "HttpSuccess" if code == 200 else "HttpError"
    at = NOW - ago
    return SentDelivery(f"d{ago}", at - wait, at if is_dated else None, code, status)  # type: ignore[arg-type]


def test_the_deliveries_of_the_vector_were_retried_and_came() -> None:
    rows = [
        parse_delivery(as_object(entry, "it")) for entry in vector("webhook_deliveries_response")
    ]
    assert assess_deliveries(rows, NOW).state == "ok"


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ([], "ok"),
        ([sent(10), sent(30, "busy"), sent(40)], "ok"),
        ([sent(10), sent(30, "slow")], "ok"),
        ([sent(10, "busy"), sent(30)], "failing"),
        ([sent(10, "silent")], "failing"),
        ([sent(99_999, "silent")], "failing"),
        ([sent(10), sent(30, "refused")], "failing"),
        ([sent(10), sent(30, "moved")], "failing"),
        ([sent(10), sent(4000, "refused")], "ok"),
        ([sent(10, wait=61)], "late"),
        ([sent(10, wait=60)], "ok"),
        ([sent(10), sent(4000, wait=900)], "ok"),
        ([sent(10, is_dated=False, wait=900)], "ok"),
    ],
)
def test_failing_refused_and_late_deliveries_are_told_apart(
    log: list[SentDelivery], state: str
) -> None:
    report = assess_deliveries(log, NOW)
    assert report.state == state
    assert (report.problem is None) == (state == "ok")


@pytest.mark.parametrize(
    ("permissions", "may"),
    [
        ({"btcpay.store.canviewinvoices"}, True),
        ({"btcpay.store.canviewinvoices:abc"}, True),
        ({"btcpay.store.canviewinvoices:abcd"}, False),
        ({"unrestricted"}, True),
        ({"btcpay.store.canmodifystoresettings:abc"}, True),
        ({"btcpay.store.cancreateinvoice"}, False),
        (set(), False),
    ],
)
def test_a_permission_is_for_one_store_or_for_all(permissions: set[str], may: bool) -> None:
    assert allows(permissions, "btcpay.store.canviewinvoices", "abc") is may


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("1.13.7", True),
        ("2.4.1", True),
        ("2.4.2", False),
        ("2.4.10", False),
        ("2.4.2-rc1+12.34", False),
        ("2.4.1+2.4.9", True),
        ("2.5", False),
        ("3.0.0", False),
    ],
)
def test_versions_compare_by_number(version: str, old: bool) -> None:
    assert is_outdated(version) is old


OURS = "https://raised.example/webhooks/btcpay/shop"
SHORT = "https://raised.example/webhook"


class Webhooks:
    """A store's webhooks by address; deliveries fail at those that are `failing`."""

    def __init__(self, *urls: str, failing: tuple[str, ...] = ()) -> None:
        self.urls = urls
        self.failing = failing
        self.asked: list[str] = []

    async def webhooks(self) -> tuple[Webhook, ...]:
        return tuple(Webhook(url, url, True, True, True, frozenset()) for url in self.urls)

    async def deliveries(self, webhook_id: str, count: int) -> tuple[SentDelivery, ...]:
        self.asked.append(webhook_id)
        return (sent(10, "busy" if webhook_id in self.failing else "ok"),)


async def state_of(webhooks: Webhooks, *ours: str) -> str:
    settings = StoreSettings("shop", "https://pay.example", "s", "key", webhook_urls=ours)
    report = await check_webhook(cast("Greenfield", webhooks), settings, NOW)
    assert (report.problem is None) == (report.state == "ok")
    return report.state


@pytest.mark.parametrize(
    "other",
    ["https://tickets.example.org/webhook", "https://tickets.example.org/webhooks/btcpay/shop",
     "https://raised.example/webhooks/btcpay/shop2", "http://[", "", "raised.example/webhook"],
)  # fmt: skip
async def test_webhooks_of_others_are_not_judged(other: str) -> None:
    webhooks = Webhooks(other, OURS, failing=(other,))
    assert await state_of(webhooks, OURS, SHORT) == "ok"
    assert webhooks.asked == [OURS]
    assert await state_of(Webhooks(other, failing=(other,)), OURS) == "missing"


@pytest.mark.parametrize(
    "url", [OURS, SHORT, f"{OURS}/", f"{OURS}?a=b", OURS.replace("https://raised", "HTTPS://Raised"),
            OURS.replace("example/", "example:443/")]
)  # fmt: skip
async def test_ours_is_told_by_its_address(url: str) -> None:
    assert await state_of(Webhooks(url), OURS, SHORT) == "ok"
    assert await state_of(Webhooks(url, failing=(url,)), OURS, SHORT) == "failing"


async def test_without_a_public_address_only_our_path_tells() -> None:
    assert await state_of(Webhooks("https://tickets.example.org/webhook")) == "missing"
    assert await state_of(Webhooks(OURS, failing=(OURS,))) == "failing"

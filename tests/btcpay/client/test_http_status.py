"""What the server's errors become: one of ours, with a sentence and a code (docs/btcpay.md 9.1)."""

import json
from typing import Any

import pytest
from tests.rig.canned_greenfield import vector

from raised.btcpay.client.http_status import (
    Forbidden,
    Gone,
    NoRoute,
    QuestionFailed,
    error_for,
    value_of,
)
from raised.errors import BadData, Refused, SourceError, Unavailable
from raised.net.http_client import HttpResponse

EXPECTED: dict[str, tuple[type[SourceError], str]] = {
    "unauthenticated_no_header": (Refused, "unauthenticated"),
    "unauthenticated_unknown_key": (Refused, "unauthenticated"),
    "unauthenticated_basic_throttled": (Refused, "unauthenticated"),
    "missing_permission": (Forbidden, "missing_permission"),
    "missing_permission_webhooks": (Forbidden, "missing_permission"),
    "invoice_not_found": (Gone, "gone"),
    "unknown_invoice_2.4": (Forbidden, "missing_permission"),
    "webhook_not_found": (Gone, "gone"),
    "delivery_not_found": (Gone, "gone"),
    "delivery_pruned": (Refused, "pruned"),
    "validation_dates_inverted": (Refused, "refused"),
    "validation_bad_timestamp": (Refused, "refused"),
    "validation_bad_webhook_url": (Refused, "refused"),
    "generic_400": (Refused, "refused"),
    "obsolete_route_2.x": (NoRoute, "no_route"),
    "unknown_route": (NoRoute, "no_route"),
    "server_error": (QuestionFailed, "busy"),
    "reverse_proxy_down": (Unavailable, "busy"),
}
CASES = {case["name"]: case for case in vector("error_bodies")}


def reply(
    status: int, body: object = None, content_type: str | None = "application/json"
) -> HttpResponse:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    return HttpResponse(status, {"content-type": content_type or ""}, text.encode())


def error(case: dict[str, Any]) -> SourceError:
    return error_for("shop", reply(case["status"], case["body"], case["content_type"]))


def test_every_error_of_the_vectors_has_an_expectation() -> None:
    assert EXPECTED.keys() == CASES.keys()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_error_is_of_its_kind(name: str) -> None:
    result = error(CASES[name])
    assert (type(result), result.code) == EXPECTED[name]
    assert result.source == "shop"
    with pytest.raises(type(result)):
        value_of("shop", reply(*(CASES[name][key] for key in ("status", "body", "content_type"))))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_word_of_the_server_is_in_a_sentence(name: str) -> None:
    body = CASES[name]["body"]
    entries = body if isinstance(body, list) else [body]
    for entry in entries:
        if isinstance(entry, dict):
            assert entry["message"] not in str(error(CASES[name]))


def test_a_missing_permission_is_named() -> None:
    for name, permission in (
        ("missing_permission", "btcpay.store.canviewinvoices"),
        ("missing_permission_webhooks", "btcpay.store.webhooks.canmodifywebhooks"),
    ):
        result = error(CASES[name])
        assert isinstance(result, Forbidden)
        assert result.permission == permission
        assert permission in result.detail


@pytest.mark.parametrize("odd", ["<b>all</b>", "", 5, None, "btcpay." + "x" * 500, "x\ny"])
def test_a_permission_that_looks_like_none_is_not_repeated(odd: object) -> None:
    result = error_for("shop", reply(403, {"code": "missing-permission", "missingPermission": odd}))
    assert isinstance(result, Forbidden)
    assert result.permission is None
    assert str(odd or "lacks a permission")[:9] in ("lacks a p", str(odd)[:9])
    assert "<b>" not in result.detail
    assert "xx" not in result.detail


def test_a_403_of_something_in_front_is_told_apart() -> None:
    result = error_for("shop", reply(403, "<html>go away</html>", "text/html"))
    assert (type(result), result.code) == (Refused, "blocked")


def test_a_wrong_parameter_is_named_when_it_looks_like_one() -> None:
    named = [{"path": "startDate"}, {"path": "Checkout.PaymentTolerance"}, {"path": "<b>"}, 5]
    detail = error_for("shop", reply(422, named)).detail
    assert detail == "refuses the question as wrong (startDate, Checkout.PaymentTolerance)"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_busy_servers_are_to_be_asked_later(status: int) -> None:
    headers = {"content-type": "text/plain", "retry-after": "30"}
    found = error_for("shop", HttpResponse(status, headers, b"slow down"))
    assert isinstance(found, Unavailable)
    assert (found.code, found.retry_after) == ("busy", 30)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_no_answer(status: int) -> None:
    assert error_for("shop", reply(status)).code == "redirect"


def test_a_404_that_is_a_page_is_no_word_about_an_object() -> None:
    assert isinstance(error_for("shop", reply(404, "<html/>", "text/html")), NoRoute)
    assert isinstance(error_for("shop", reply(404, {"message": "?"})), NoRoute)


def test_only_what_says_that_it_is_json_is_read() -> None:
    for content_type in ("application/json", "Application/JSON; charset=utf-8", "text/json",
                         "application/hal+json"):  # fmt: skip
        assert value_of("shop", reply(200, [1], content_type)) == [1]
    for content_type in ("text/html", "", "text/plain", "application/jsonp"):
        with pytest.raises(Unavailable) as caught:
            value_of("shop", reply(200, [1], content_type))
        assert caught.value.code == "not_json"


def test_json_that_is_none_is_a_bad_answer() -> None:
    for body in ("", "{", "[" * 50_000):
        with pytest.raises(BadData) as caught:
            value_of("shop", reply(200, body))
        assert caught.value.code == "bad_answer"

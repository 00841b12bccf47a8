"""Whatever a server answers, it costs an error of ours or a row, never the process."""

import contextlib
import copy
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.rig.canned_greenfield import KEPT, KEY, STORE, vector

from raised.btcpay.client import server_json
from raised.btcpay.client.crowdfund_json import app_invoice_id
from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.client.http_status import value_of
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.client.invoices_json import parse_invoice, parse_payments
from raised.btcpay.client.json_fields import UNREADABLE, parse_rows, read_json
from raised.btcpay.client.payouts_json import parse_payout, parse_pull_payment
from raised.btcpay.settings import StoreSettings
from raised.domain.btcpay.invoice import Invoice, Payment
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput, SourceError
from raised.net.http_client import HttpResponse

LARGEST = 2**63 - 1
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.just(UNREADABLE)
    | st.text()
    | st.sampled_from(["BTC", "BTC-CHAIN", "Settled", "0.5", f"{'a' * 64}-0", "\ud800", "\0", ""])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
LISTED = vector("invoice_list_with_payment_methods_2.4.1")
READERS: dict[str, Callable[[Any], object]] = {
    "invoices": lambda value: parse_rows(value, lambda row: parse_invoice(row, KEPT, STORE)),
    "payments": parse_payments,
    "payouts": lambda value: parse_rows(value, parse_payout),
    "pull payments": lambda value: parse_rows(value, parse_pull_payment),
    "webhooks": lambda value: parse_rows(value, server_json.parse_webhook),
    "deliveries": lambda value: parse_rows(value, server_json.parse_delivery),
    "rates": lambda value: server_json.parse_rates(["USD"], value),
    "apps": lambda value: parse_rows(value, lambda row: app_invoice_id("app", row)),
}
OBJECT_READERS: dict[str, Callable[[JsonObject], object]] = {
    "health": server_json.parse_synchronized,
    "server": server_json.parse_server_info,
    "permissions": server_json.parse_permissions,
    "terms": server_json.parse_store_terms,
}
ROWS: dict[str, list[Any]] = {
    "invoices": LISTED,
    "payments": LISTED[2]["paymentMethods"],
    "payouts": vector("payouts"),
    "pull payments": vector("pull_payments"),
    "webhooks": [vector("webhook_create_response")],
    "deliveries": vector("webhook_deliveries_response"),
    "rates": vector("rates"),
    "apps": LISTED,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def changed(value: Any, place: tuple[Any, ...], to: Any) -> Any:
    """The value with something else at a place."""
    if not place:
        return to
    whole = copy.deepcopy(value)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return whole


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for element in pair for text in texts(element)]
    if isinstance(value, tuple | list | frozenset):
        return [text for element in value for text in texts(element)]
    names = getattr(value, "__dataclass_fields__", {})
    return [text for name in names for text in texts(getattr(value, name))]


def check_kept(row: Any) -> None:
    """What is kept fits every database, and every later sum."""
    for text in texts(row):
        text.encode()
        assert "\0" not in text
    if isinstance(row, Invoice):
        for time in (row.created_at, row.expires_at, row.monitored_until):
            assert 0 <= time <= LARGEST
        assert re.fullmatch("[0-9A-Za-z_-]{1,100}", row.id)
        assert len({(paid.method, paid.id) for paid in row.payments or ()}) == len(
            row.payments or ()
        )
        for payment in row.payments or ():
            check_kept(payment)
    if isinstance(row, Payment):
        assert row.value_msats is None or 0 <= row.value_msats <= 21_000_000 * 10**11
        assert (row.value_msats is None) == (row.currency not in ("BTC", "SATS"))
        assert 0 <= row.received_at <= LARGEST
        if row.method == "BTC-CHAIN":
            assert re.fullmatch("[0-9a-f]{64}:[0-9]{1,10}", row.id)


@given(value=JSON | st.lists(JSON))
def test_any_json_becomes_rows_or_an_error_of_ours(value: Any) -> None:
    for read_rows in READERS.values():
        try:
            read = read_rows(value)
        except InvalidInput:
            continue
        for row in getattr(read, "rows", ()):
            check_kept(row)


@pytest.mark.parametrize("name", sorted(ROWS))
@given(data=st.data())
def test_any_change_of_an_answer_costs_at_most_its_row(name: str, data: st.DataObject) -> None:
    """The rows beside the one that is changed are read as before."""
    rows = ROWS[name]
    number = data.draw(st.integers(0, len(rows) - 1))
    place = data.draw(st.sampled_from(places(rows[number])))
    odd = [*rows[:number], changed(rows[number], place, data.draw(JSON)), *rows[number + 1 :]]
    try:
        read = READERS[name](odd)
    except InvalidInput:
        pytest.fail("a row has cost the whole list")
    for row in getattr(read, "rows", ()):
        check_kept(row)
    if name == "invoices":
        whole = {row.id: row for row in READERS[name](rows).rows}  # type: ignore[attr-defined]
        kept = {row.id: row for row in read.rows}  # type: ignore[attr-defined]
        others = [row["id"] for at, row in enumerate(rows) if at != number]
        assert {key: kept[key] for key in others} == {key: whole[key] for key in others}


@given(
    fields=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("synchronized", "version", "fullySynched", "permissions", "invoiceExpiration"), JSON
        ),
    )
)
def test_any_object_is_read_or_refused(fields: dict[str, Any]) -> None:
    for read in OBJECT_READERS.values():
        try:
            read(JsonObject(fields))
        except InvalidInput:
            continue


@given(
    status=st.integers(100, 599),
    content_type=st.sampled_from(["application/json", "text/html", "", "application/json;x"]),
    body=st.binary() | JSON.map(lambda value: json.dumps(value, default=str).encode()),
)
@example(status=403, content_type="application/json", body=b'{"code":"x","missingPermission":[]}')
@example(status=422, content_type="application/json", body=b'[[],{"path":{}}]')
@example(status=200, content_type="application/json", body=b"[" * 200_000)
def test_any_answer_is_a_value_or_an_error_of_ours(
    status: int, content_type: str, body: bytes
) -> None:
    caught: SourceError | None = None
    try:
        value_of("shop", HttpResponse(status, {"content-type": content_type}, body))
    except SourceError as error:
        caught = error
    assert caught is None or caught.detail.isprintable()


@given(body=st.binary())
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        read_json(body)
    except InvalidInput:
        return


async def _ask_everything(greenfield: Greenfield) -> None:
    asks: list[Awaitable[object]] = [
        greenfield.is_synchronized(), greenfield.server(), greenfield.permissions(),
        greenfield.store_terms(), greenfield.invoices(InvoicePage(take=5)),
        greenfield.invoice("abc"), greenfield.payments("abc", accounted_only=True),
        greenfield.pull_payments(), greenfield.payouts(), greenfield.rates(["USD"]),
        greenfield.webhooks(), greenfield.create_webhook("https://x", "s", ["a"]),
        greenfield.replace_webhook("abc", "https://x", None, ["a"]),
        greenfield.deliveries("abc", 50), greenfield.app_invoices("app"),
    ]  # fmt: skip
    for ask in asks:
        with contextlib.suppress(SourceError):
            await ask


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b"{}", b"[null]", b"[[]]", b'"x"', b"5", b"NaN", b"[{}]", b'[{"id":"x"}]',
     b'{"permissions":{}}', b'{"authorizedEvents":[]}', b'[{"paymentMethods":[5]}]', b"\xff",
     b'{"id":"abc","authorizedEvents":{"specificEvents":5}}', b"[" * 99_999, b'{"id":"other"}'],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
async def test_no_call_breaks_on_an_answer_meant_for_another(body: bytes) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body, headers={"Content-Type": "application/json"})

    settings = StoreSettings("shop", "http://pay.test", STORE, KEY)
    hurry = RetryPolicy(attempts=1, page_seconds=0.0)
    greenfield = Greenfield(settings, transport=httpx.MockTransport(answer), retry_policy=hurry)
    await _ask_everything(greenfield)
    await greenfield.close()

"""Invoices, deliveries and stores: lists, filters, one of them; what health says of stores."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import update
from tests.api.routes.test_problems import add_problem

from raised.db import schema
from raised.db.engine import transact
from raised.db.requests.api_keys import add_key, new_key
from raised_api.routes.deliveries import DeliveryPage
from raised_api.routes.invoices import InvoiceDetail, InvoicePage

NOW = 1_750_000_000
HOUR, DAY = 3600, 86_400
INVOICES = "/api/v1/invoices"
DELIVERIES = "/api/v1/deliveries"


@pytest.fixture
async def keyed(book: Any, serve: Any) -> AsyncIterator[Any]:
    """An API asked with a key that may see invoices."""
    key = new_key(["invoices:read"])
    await transact(book.engine, add_key, key, ["invoices:read"], NOW)
    async with serve() as api:
        api.client.headers["authorization"] = f"Bearer {key.token}"
        yield api


async def walk(api: Any, path: str, limit: int = 2) -> list[Any]:
    items: list[Any] = []
    sign, cursor = "&" if "?" in path else "?", ""
    while True:
        body = await api.json(f"{path}{sign}limit={limit}{cursor}")
        assert len(body["items"]) <= limit
        items += body["items"]
        if body["next_cursor"] is None:
            return items
        cursor = f"&cursor={body['next_cursor']}"


async def ids(api: Any, path: str, key: str = "id") -> list[str]:
    return [item[key] for item in await walk(api, path)]


async def follow_stores(book: Any, *labels: str) -> None:
    await book.daemon()
    stores = [{"label": label, "store_id": "x"} for label in labels]
    async with book.engine.begin() as conn:
        await conn.execute(update(schema.daemon).values(settings=json.dumps({"stores": stores})))


async def test_invoices_newest_first_also_those_of_one_second(book: Any, keyed: Any) -> None:
    for at in (10, 30, 20, 20, 20):
        await book.invoice("shop", at=at)
    one = await book.invoice("stall", at=20)
    async with book.engine.begin() as conn:
        this = schema.invoice
        await conn.execute(update(this).where(this.c.id == one).values(id="Invoice3"))
    body = await walk(keyed, INVOICES)
    keys = [(item["created_at"], item["id"], item["store"]) for item in body]
    assert len(keys) == 6
    assert keys == sorted(keys, reverse=True)
    assert ("1970-01-01T00:00:20Z", "Invoice3", "stall") in keys


async def test_invoices_are_filtered(book: Any, keyed: Any) -> None:
    one = await book.invoice("shop", counted=1000, at=10)
    two = await book.invoice("shop", at=20, campaign="ice")
    three = await book.invoice("stall", at=30, status="Expired", campaign="ice")
    four = await book.invoice("stall", at=40, status="Novel")
    await book.campaign("ice")
    for query, expected in [
        ("", [four, three, two, one]),
        ("?store=shop", [two, one]),
        ("?store=nobody", []),
        ("?status=settled", [one]),
        ("?status=Settled,expired", [three, one]),
        ("?status=new&status=Other", [four, two]),
        ("?campaign=ice", [three, two]),
        ("?campaign=ice&status=new", [two]),
        ("?since=1970-01-01T00:00:20Z", [four, three, two]),
        ("?until=1970-01-01T00:00:20Z", [one]),
        ("?since=1970-01-02", []),
    ]:
        assert await ids(keyed, INVOICES + query) == expected, query
    for query in ("?status=paid", "?campaign=nothing", "?store=Shop", "?order=1", "?limit=0"):
        assert (await keyed.get(INVOICES + query)).status_code == 400, query
    page = await keyed.json(INVOICES)
    assert tuple(page) == InvoicePage.__struct_fields__
    assert page["as_of"]["seq"] == 0


async def test_an_invoice_with_its_payments(book: Any, keyed: Any) -> None:
    key = await book.invoice("shop", counted=5_000_400, metadata='{"orderId":"A 1","secret":"x"}')
    body = await keyed.json(f"{INVOICES}/shop/{key}")
    assert tuple(body) == InvoiceDetail.__struct_fields__
    assert body["received_sats"] == 5000
    assert body["order_id"] == "A 1"
    assert body["metadata"] == {}
    for path in (f"shop/{key}x", f"stall/{key}", "shop/%00", "a/b/c"):
        assert (await keyed.get(f"{INVOICES}/{path}")).status_code == 404, path


async def test_deliveries_newest_first_and_filtered(book: Any, keyed: Any) -> None:
    for number, (store, kind, at) in enumerate(
        [("shop", "InvoiceCreated", 10), ("shop", "InvoiceSettled", 30), ("stall", "New", 20)]
    ):
        await book.add(
            schema.delivery,
            store=store,
            webhook_id="w",
            delivery_id=f"d{number}",
            original_delivery_id="o",
            type=kind,
            invoice_id=f"i{number}",
            redelivery=False,
            sent_at=5,
            received_at=at,
        )
    for query, expected in [
        ("", ["d1", "d2", "d0"]),
        ("?store=shop", ["d1", "d0"]),
        ("?type=InvoiceCreated,New", ["d2", "d0"]),
        ("?invoice=i1", ["d1"]),
        ("?since=1970-01-01T00:00:20Z", ["d1", "d2"]),
        ("?until=1970-01-01T00:00:20Z", ["d0"]),
    ]:
        assert await ids(keyed, DELIVERIES + query, "delivery_id") == expected, query
    page = await keyed.json(DELIVERIES)
    assert tuple(page) == DeliveryPage.__struct_fields__
    assert page["items"][0] == {
        "store": "shop",
        "delivery_id": "d1",
        "original_delivery_id": "o",
        "type": "InvoiceSettled",
        "invoice_id": "i1",
        "sent_at": "1970-01-01T00:00:05Z",
        "received_at": "1970-01-01T00:00:30Z",
        "processed_at": None,
        "redelivery": False,
        "result": None,
    }


async def test_the_stores_that_are_followed_and_how_they_do(book: Any, api: Any) -> None:
    await book.whole()
    for name in ("shop", "stall", "former"):
        await book.source(schema.store, name, facts='{"version":"2.4.1","last_pull_at":100}')
    await follow_stores(book, "shop", "stall")
    body = await api.json("/api/v1/stores")
    assert [item["name"] for item in body["items"]] == ["shop", "stall"]
    assert body["items"][0]["version"] == "2.4.1"
    assert body["items"][0]["last_pull_at"] == "1970-01-01T00:01:40Z"


@pytest.mark.parametrize(
    ("states", "expected", "stale"),
    [
        ({}, "off", False),
        ({"shop": "ok", "stall": "ok"}, "ok", False),
        ({"shop": "ok", "stall": "down"}, "degraded", False),
        ({"shop": "ok"}, "degraded", False),
        ({"shop": "down", "stall": "down"}, "down", True),
    ],
)
async def test_every_answer_says_how_stores_do(
    book: Any, api: Any, states: dict[str, str], expected: str, stale: bool
) -> None:
    await book.whole()
    await book.source(schema.store, "former", "down")
    await follow_stores(book, *(("shop", "stall") if states else ()))
    for name, state in states.items():
        await book.source(schema.store, name, state)
    ground = (await api.json("/api/v1/movements"))["as_of"]
    assert ground["sources"]["btcpay"] == expected
    assert ground["stale"] is stale


async def health(api: Any) -> Any:
    return (await api.get("/health")).json()


async def test_health_names_what_is_wrong_with_stores(book: Any, api: Any) -> None:
    await book.whole()
    await book.source(schema.store, "shop")
    await follow_stores(book, "shop")
    assert [p["code"] for p in (await health(api))["problems"]] == ["first_sweep"]
    await book.add(schema.cursor, source="store:read", name="shop", value=NOW)
    assert (await health(api))["status"] == "ready"
    assert [item["name"] for item in (await health(api))["btcpay"]] == ["shop"]

    async def count(reason: str, at: int) -> None:
        row = {"store": "shop", "reason": reason, "count": 3, "last_at": at}
        await book.add(schema.refused_delivery, **row)

    await count("no_signature", NOW)  # anybody may knock
    await count("too_large", NOW - 2 * HOUR)
    assert (await health(api))["problems"] == []
    await count("bad_signature", NOW - 10)
    (problem,) = (await health(api))["problems"]
    assert (problem["source"], problem["code"]) == ("shop", "refused_deliveries")
    assert "bad_signature 3" in problem["detail"]
    assert problem["severity"] == "warning"
    assert (await health(api))["status"] == "ready"  # anybody may sign wrongly
    assert problem["since_at"] == "2025-06-15T15:06:30Z"
    await book.invoice("shop", ambiguous=True)
    async with book.engine.begin() as conn:
        await conn.execute(update(schema.store).values(misses=2, last_miss_at=NOW - DAY))
    codes = [problem["code"] for problem in (await health(api))["problems"]]
    assert codes == ["refused_deliveries", "missed_deliveries", "ambiguous_invoices"]
    assert (await health(api))["status"] == "degraded"
    async with book.engine.begin() as conn:
        await conn.execute(update(schema.store).values(last_miss_at=NOW - DAY - 1))
    codes = [problem["code"] for problem in (await health(api))["problems"]]
    assert "missed_deliveries" not in codes


async def test_health_names_a_store_that_is_down(book: Any, api: Any) -> None:
    await book.whole()
    error = {"last_error_code": "unauthenticated", "last_error_detail": "Make a new key."}
    await book.source(schema.store, "shop", "down", **error)
    await follow_stores(book, "shop")
    (problem,) = (await health(api))["problems"]
    assert (problem["code"], problem["detail"]) == ("unauthenticated", "Make a new key.")


async def test_health_names_every_trouble_of_a_store_and_warnings_are_none(
    book: Any, api: Any
) -> None:
    await book.whole()
    facts = {"troubles": ["Worst.", "Refunds are hidden."], "warnings": ["Upgrade."]}
    error = {"last_error_code": "busy", "last_error_detail": "Worst."}
    await book.source(schema.store, "shop", "degraded", facts=json.dumps(facts), **error)
    await follow_stores(book, "shop")
    await add_problem(book, "", NOW, code="busy", detail="Worst.")
    await add_problem(book, "", NOW - 1, code="refunds", detail="Refunds are hidden.")
    await add_problem(book, "", NOW - 2, code="old_version", detail="Upgrade.", state="ok")
    body = await health(api)
    problems = [problem for problem in body["problems"] if problem["severity"] != "warning"]
    assert [problem["detail"] for problem in problems] == ["Worst.", "Refunds are hidden."]
    (item,) = (await api.json("/api/v1/stores"))["items"]
    assert item["warnings"] == ["Upgrade."]

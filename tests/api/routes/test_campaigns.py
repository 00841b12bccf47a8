"""Both rails in one answer, as a whole and campaign by campaign."""

from typing import Any

import pytest

from raised.db import schema

NOW = 1_750_000_000
HOUR = 3600


@pytest.fixture
async def both(book: Any) -> dict[str, str]:
    """A campaign of one project and one store; beside it others of both."""
    await book.whole()
    ours, alone = await book.project("ours", target_sats=10_000), await book.project("alone")
    await book.campaign("ice", ours, stores=("shop",))
    await book.investment(ours, 4000, NOW - 500)
    await book.investment(alone, 100, NOW - 500)
    await book.invoice("shop", counted=2_000_999, at=NOW - 400, campaign="ice")
    await book.invoice("shop", counted=1_000_001, at=NOW - 300, campaign="ice")
    await book.invoice("shop", counted=7_000, at=NOW - 200)
    return {"ours": ours, "alone": alone}


async def test_the_summary_is_the_sum_of_both_rails(both: dict[str, str], api: Any) -> None:
    body = await api.json("/api/v1/summary")
    assert body["angor"]["raised_sats"] == 4100
    assert body["btcpay"]["raised_sats"] == 3008  # floored once, not for each payment
    assert body["totals"] == {
        "raised_sats": 7108,
        "returned_sats": 0,
        "net_sats": 7108,
        "unconfirmed_sats": 0,
        "contributions": 5,
        "contributors": 5,
        "average_contribution_sats": 1421,
        "median_contribution_sats": 1000,
    }
    assert body["last_24h"] == {"raised_sats": 7108, "returned_sats": 0, "contributions": 5}


async def test_a_campaign_narrows_everything(both: dict[str, str], api: Any) -> None:
    body = await api.json("/api/v1/summary?campaign=ice")
    assert body["projects"]["confirmed"] == 1
    assert body["angor"]["raised_sats"] == 4000
    assert body["btcpay"]["raised_sats"] == 3001
    assert body["btcpay"]["invoices"] == 2
    assert body["totals"]["contributions"] == 3
    assert body["totals"]["median_contribution_sats"] == 2000
    assert body["last_24h"] == {"raised_sats": 7001, "returned_sats": 0, "contributions": 3}


async def test_what_no_campaign_names_is_one_of_its_own(both: dict[str, str], api: Any) -> None:
    store = await api.json("/api/v1/summary?campaign=shop")
    assert (store["angor"]["raised_sats"], store["btcpay"]["raised_sats"]) == (0, 7)
    assert store["totals"]["contributions"] == 1
    project = await api.json(f"/api/v1/summary?campaign={both['alone']}")
    assert (project["angor"]["raised_sats"], project["btcpay"]["raised_sats"]) == (100, 0)


async def test_campaigns_add_up_to_the_whole(both: dict[str, str], api: Any) -> None:
    listed = (await api.json("/api/v1/campaigns"))["items"]
    assert [campaign["slug"] for campaign in listed] == ["ice", "shop", both["alone"]]
    whole = await api.json("/api/v1/summary")
    for part in ("angor", "btcpay"):
        for name in ("raised_sats", "net_sats"):
            assert sum(campaign[part][name] for campaign in listed) == whole[part][name]
    ice = listed[0]
    assert (ice["title"], ice["projects"], ice["stores"]) == ("Ice", [both["ours"]], ["shop"])
    assert (ice["target_sats"], ice["percent"]) == (10_000, 70.0)


async def test_pages_of_campaigns_hold_each_once(both: dict[str, str], api: Any) -> None:
    seen: list[str] = []
    more = ""
    while True:
        page = await api.json(f"/api/v1/campaigns?limit=1{more}")
        seen += [item["slug"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        more = f"&cursor={page['next_cursor']}"
    assert seen == ["ice", "shop", both["alone"]]


async def test_a_configured_target_outranks_that_of_the_projects(book: Any, api: Any) -> None:
    one = await book.project("one", target_sats=10_000)
    two = await book.project("two", target_sats=5000)
    await book.campaign("own", one, target_sats=99)
    await book.campaign("sum", two)
    await book.campaign("none", stores=("shop",))
    assert (await api.json("/api/v1/campaigns/own"))["target_sats"] == 99
    assert (await api.json("/api/v1/campaigns/sum"))["target_sats"] == 5000
    none = await api.json("/api/v1/campaigns/none")
    assert (none["target_sats"], none["percent"]) == (None, None)


async def test_an_unknown_campaign_is_told(book: Any, api: Any) -> None:
    await book.whole()
    assert (await api.get("/api/v1/campaigns/nothing")).status_code == 404
    for path in ("summary", "series", "projects", "movements"):
        answer = await api.get(f"/api/v1/{path}?campaign=nothing")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["name"] == "campaign"


async def test_series_count_both_rails_and_each_alone(both: dict[str, str], api: Any) -> None:
    async def total(query: str) -> int:
        body = await api.json(f"/api/v1/series?{query}")
        return sum(point["value"] for point in body["points"])

    assert await total("metric=raised") == 7108
    assert await total("metric=raised&source=btcpay") == 3008
    assert await total("metric=raised&source=angor") == 4100
    assert await total("metric=raised&campaign=ice") == 7001
    assert await total("metric=raised&campaign=ice&source=btcpay") == 3001
    assert await total("metric=raised&campaign=ice&tz=Asia/Kathmandu") == 7001
    assert await total("metric=contributions") == 5
    assert await total("metric=contributions&campaign=shop") == 1
    assert await total("metric=invoices") == 3
    assert await total("metric=invoices&source=angor") == 0


async def test_movements_and_projects_of_a_campaign(both: dict[str, str], api: Any) -> None:
    rows = (await api.json("/api/v1/movements?campaign=ice"))["items"]
    assert sorted(row["kind"] for row in rows) == ["investment", "payment", "payment"]
    stored = (await api.json("/api/v1/movements?campaign=shop"))["items"]
    assert [row["amount_sats"] for row in stored] == [7]
    projects = (await api.json("/api/v1/projects?campaign=ice"))["items"]
    assert [project["id"] for project in projects] == [both["ours"]]
    refused = await api.get(f"/api/v1/series?campaign=ice&project={both['ours']}")
    assert refused.status_code == 400


async def test_what_stores_show_beside_the_ledger(book: Any, api: Any) -> None:
    await book.whole()
    await book.invoice("shop", pending_msats=1500, status="Processing")
    marked = {"additional_status": "Marked"}
    await book.invoice("shop", counted=9000, status="Invalid", **marked)
    await book.invoice("shop", status="Settled", **marked)
    other = await book.invoice("shop", status="Settled", **marked)
    await book.payment("shop", other, method="LTC-CHAIN", currency="LTC", value="0.25000000")
    await book.payment("shop", other, method="LTC-CHAIN", currency="LTC", value="0.25", id="b")
    await book.payment("shop", other, currency="LTC", value="9", status="Invalid", id="c")
    token = {"currency": "TOKEN", "method": "TOKEN-CHAIN"}
    await book.payment("shop", other, value="98765432109876.000000000000000001", id="d", **token)
    await book.payment("shop", other, value="0.000000000000000001", id="e", **token)
    sats = {"method": "BTC-CASH", "currency": "SATS", "value": "9", "value_msats": 9000}
    await book.payment("shop", other, id="f", **sats)  # money in bitcoin, part of the sums
    refunded = await book.invoice("shop", counted=20_000)
    await book.paid("shop", refunded, 5000, NOW, "shop", kind="refund")
    body = (await api.json("/api/v1/summary"))["btcpay"]
    assert body == {
        "raised_sats": 29,
        "returned_sats": 5,
        "net_sats": 24,
        "pending_sats": 1,
        "disowned_sats": 9,
        "off_platform_invoices": 1,
        "invoices": 5,
        "invoices_by_status": {
            "New": 0,
            "Processing": 1,
            "Settled": 3,
            "Expired": 0,
            "Invalid": 1,
            "Other": 0,
        },
        "other_currencies": [
            {"currency": "LTC", "amount": "0.5"},
            {"currency": "TOKEN", "amount": "98765432109876.000000000000000002"},
        ],
    }
    of_store = (await api.json("/api/v1/summary?campaign=shop"))["btcpay"]
    assert of_store == body
    assert (await api.json("/api/v1/summary"))["totals"]["unconfirmed_sats"] == 1


async def test_a_store_that_is_followed_is_a_campaign_before_its_first_invoice(
    book: Any, api: Any
) -> None:
    await book.whole()
    settings = '{"stores": [{"label": "shop", "store_id": "A", "metadata_keys": []}]}'
    async with book.engine.begin() as conn:
        await conn.execute(schema.daemon.update().values(settings=settings))
    body = await api.json("/api/v1/campaigns/shop")
    assert body["stores"] == ["shop"]
    assert body["totals"]["raised_sats"] == 0

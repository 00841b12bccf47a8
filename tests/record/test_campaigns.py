"""Campaigns: membership is looked up; a changed configuration regroups the past, too."""

from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World
from tests.record.ledger_reads import assert_consistent, item, row
from tests.rig.store_observations import (
    START,
    StoreObservations,
    coin,
    invoice,
    payment,
    payout,
    pull,
)

from raised.db import schema
from raised.domain.campaign import Campaign, StoreRule
from raised.domain.observation import CampaignsConfigured

ICE = Campaign("sea-ice", "Sea ice film", rules=(StoreRule("shop", order_id_prefix="ICE-"),))


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


@pytest.fixture
def shop() -> StoreObservations:
    return StoreObservations()


def grouped(*campaigns: Campaign, at: int = START) -> CampaignsConfigured:
    return CampaignsConfigured(at, campaigns, {"shop": True})


async def hours(ledger: Ledger) -> dict[tuple[str, str], int]:
    """The sums of all hours by owner and kind."""
    found: dict[tuple[str, str], int] = {}
    for total in await ledger.rows(schema.hour_total):
        key = (total["owner"], total["kind"])
        found[key] = found.get(key, 0) + total["amount_msats"]
    return found


async def test_an_invoice_belongs_to_the_campaign_whose_rule_takes_it(
    ledger: Ledger, shop: StoreObservations
) -> None:
    await ledger.see(grouped(ICE))
    mine = invoice("one", payment(coin(1)), metadata={"orderId": "ICE-1"})
    await ledger.see(shop.invoices_seen(mine, invoice("two", payment(coin(2), "0.002"))))
    assert [(await row(ledger, key))["campaign"] for key in ("one", "two")] == ["sea-ice", "shop"]
    assert await hours(ledger) == {
        ("sea-ice", "payment"): 100_000_000,
        ("shop", "payment"): 200_000_000,
    }
    by_reference = {
        (change["type"], change["reference"]): change["campaign"]
        for change in await ledger.changes()
    }
    assert by_reference["movement", coin(1)] == "sea-ice"
    assert by_reference["payment.settled", coin(1)] == "sea-ice"
    assert by_reference["invoice.settled", "shop/two"] == "shop"
    await assert_consistent(ledger)


async def test_another_configuration_regroups_the_past(
    ledger: Ledger, shop: StoreObservations
) -> None:
    mine = invoice("one", payment(coin(1)), metadata={"orderId": "ICE-1"})
    await ledger.see(shop.invoices_seen(mine, invoice("two", payment(coin(2), "0.002"))))
    await ledger.see(shop.refunds_seen([pull("pp", "Refund one")], payout("po", "pp")))
    before = await ledger.rows(schema.movement)
    await ledger.see(grouped(ICE))
    assert await ledger.rows(schema.movement) == before  # never written into the ledger
    assert await hours(ledger) == {
        ("sea-ice", "payment"): 100_000_000,
        ("sea-ice", "refund"): 40_000_000,
        ("shop", "payment"): 200_000_000,
    }
    assert (await item(ledger, "one"))["campaign"] == "sea-ice"
    await assert_consistent(ledger)
    news = await ledger.changes()
    assert news[-1]["type"] == "campaign.regrouped"
    assert news[-1]["data"] == {"campaigns": ["sea-ice"], "invoices": 1}
    await ledger.see(grouped(ICE, at=START + 5))
    assert await ledger.changes() == news
    await ledger.see(grouped())
    assert {owner for owner, _ in await hours(ledger)} == {"shop"}
    await assert_consistent(ledger)


async def test_an_invoice_that_two_campaigns_claim_is_its_stores(
    ledger: Ledger, shop: StoreObservations
) -> None:
    other = Campaign(
        "film", "Film", rules=(StoreRule("shop", metadata_key="c", metadata_equals="f"),)
    )
    await ledger.see(grouped(ICE, other))
    both = {"orderId": "ICE-1", "c": "f"}
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)), metadata=both)))
    kept = await row(ledger, "one")
    assert (kept["campaign"], kept["ambiguous"]) == ("shop", True)
    await ledger.see(grouped(ICE))
    kept = await row(ledger, "one")
    assert (kept["campaign"], kept["ambiguous"]) == ("sea-ice", False)
    await assert_consistent(ledger)


async def test_an_invoice_moves_with_its_metadata(ledger: Ledger, shop: StoreObservations) -> None:
    await ledger.see(grouped(ICE))
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)))))
    renamed = invoice("one", payment(coin(1)), payment(coin(2)), metadata={"orderId": "ICE-9"})
    await ledger.see(shop.invoices_seen(renamed))
    assert await hours(ledger) == {("sea-ice", "payment"): 200_000_000}
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(2)))))
    assert await hours(ledger) == {("shop", "payment"): 100_000_000}
    await assert_consistent(ledger)


async def test_what_is_known_of_a_crowdfund_app_stays_known(
    ledger: Ledger, shop: StoreObservations
) -> None:
    app = Campaign("crowd", "Crowd", rules=(StoreRule("shop", crowdfund_app="app"),))
    await ledger.see(grouped(app))
    found = {"one": frozenset({"app"})}
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1))), apps=found))
    await ledger.see(shop.invoices_seen(invoice("one", payment(coin(1)), archived=True)))
    assert (await row(ledger, "one"))["campaign"] == "crowd"
    await ledger.see(
        shop.invoices_seen(invoice("one", payment(coin(1))), apps={"one": frozenset()})
    )
    assert (await row(ledger, "one"))["campaign"] == "shop"
    await assert_consistent(ledger)


async def test_projects_and_their_changes_name_their_campaign(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    assert {change["campaign"] for change in await ledger.changes() if change["project_id"]} == {
        founder.project_id
    }
    both = Campaign("sea-ice", "Sea ice", projects=(founder.project_id,))
    await ledger.see(grouped(both))
    seen = len(await ledger.changes())
    await ledger.see(world.mine(founder.invested().tx))
    news = [change for change in (await ledger.changes())[seen:] if change["project_id"]]
    assert {change["type"] for change in news} == {"investment.confirmed", "movement"}
    assert {change["campaign"] for change in news} == {"sea-ice"}
    assert {change["data"]["campaign"] for change in news if change["type"] == "movement"} == {
        "sea-ice"
    }
    # hours stay the project's: its campaign is looked up
    assert {owner for owner, _ in await hours(ledger)} == {founder.project_id}
    await assert_consistent(ledger)


async def test_stores_that_send_events_are_remembered_from_when_on(ledger: Ledger) -> None:
    await ledger.see(CampaignsConfigured(START, (), {"shop": True, "stall": False}))
    await ledger.see(CampaignsConfigured(START + 9, (), {"shop": True, "stall": True}))
    cursors = {row["name"]: row["value"] for row in await ledger.rows(schema.cursor)}
    assert cursors == {"shop": START, "stall": START + 9}
    await ledger.see(CampaignsConfigured(START + 20, (), {"stall": True}))
    assert [row["name"] for row in await ledger.rows(schema.cursor)] == ["stall"]

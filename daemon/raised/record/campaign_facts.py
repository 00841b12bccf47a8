"""Campaigns as configured: invoices are regrouped, and with them their sums by hour."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import campaigns, cursors, deliveries, movements
from raised.db.facts.invoices import by_store
from raised.db.items.change_item import Regrouping
from raised.domain.campaign import Campaign, Membership, membership
from raised.domain.change import Change
from raised.domain.ledger import Effect, InvoiceKey
from raised.domain.observation import CampaignsConfigured
from raised.record.dirty_set import DirtySet

_Move = tuple[Membership, Membership]  # from, to


async def apply_campaigns(
    conn: AsyncConnection, configured: CampaignsConfigured, dirty: DirtySet
) -> None:
    """Store the campaigns, and of which stores webhooks are expected; regroup all invoices when
    the campaigns are others than before.
    """
    await _expect_webhooks(conn, configured)
    wanted = tuple(sorted(configured.campaigns, key=lambda campaign: campaign.slug))
    if _comparable(wanted) == _comparable(await campaigns.read_campaigns(conn)):
        return
    await campaigns.replace_campaigns(conn, wanted)
    moves: dict[InvoiceKey, _Move] = {}
    async for key, metadata, apps, old in campaigns.memberships(conn):
        new = membership(key[0], metadata, apps, wanted)
        if new != old:
            moves[key] = (old, new)
    await move_hour_totals(conn, moves)
    await campaigns.put_memberships(conn, {key: new for key, (_, new) in moves.items()})
    item = Regrouping([campaign.slug for campaign in wanted], len(moves))
    dirty.add_change(Change("campaign.regrouped", "btcpay", ""), item)


def _comparable(found: tuple[Campaign, ...]) -> list[tuple[object, ...]]:
    """The order in which a campaign lists its projects means nothing."""
    return [
        (
            campaign.slug,
            campaign.title,
            sorted(campaign.projects),
            campaign.rules,
            campaign.target_sats,
        )
        for campaign in found
    ]


async def _expect_webhooks(conn: AsyncConnection, configured: CampaignsConfigured) -> None:
    """Store since when webhooks are expected of a store; where they were before, it stays so."""
    expecting = {label for label, expected in configured.stores.items() if expected}
    known = await cursors.cursor_names(conn, cursors.STORE_EVENTS)
    for label in known - expecting:
        await cursors.drop_cursor(conn, cursors.STORE_EVENTS, label)
    for label in sorted(expecting - known):
        await cursors.advance_cursor(conn, cursors.STORE_EVENTS, label, configured.at, None)
    await deliveries.drop_expected(conn, expecting)


async def move_hour_totals(conn: AsyncConnection, moves: Mapping[InvoiceKey, _Move]) -> None:
    """Move the booked rows of these invoices to the hourly sums of other campaigns."""
    effects: list[Effect] = []
    moved = [key for key, (old, new) in moves.items() if old.campaign != new.campaign]
    for store, ids in by_store(moved).items():
        for booked in await movements.booked_of_invoices(conn, store, ids):
            assert booked.row.invoice is not None, "it was selected by its invoice"
            old, new = moves[booked.row.invoice]
            effects.append(Effect(old.campaign, booked.row, -1))
            effects.append(Effect(new.campaign, booked.row, 1))
    await movements.add_to_hour_totals(conn, effects)

"""What belongs together, as configured: invoices are regrouped, their sums by hour with them."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import campaigns, cursors, deliveries, movements
from raised.db.facts.invoices import by_store
from raised.domain.campaign import Campaign, Membership, membership
from raised.domain.change import Change
from raised.domain.ledger import Effect, InvoiceKey
from raised.domain.observation import CampaignsConfigured
from raised.record.dirty import DirtySet

_Move = tuple[Membership, Membership]


async def apply_campaigns(
    conn: AsyncConnection, grouped: CampaignsConfigured, dirty: DirtySet
) -> None:
    """Keep the campaigns and the stores' promises of events; regroup the past if it is another."""
    await _keep_stores(conn, grouped)
    wanted = tuple(sorted(grouped.campaigns, key=lambda one: one.slug))
    held = await campaigns.read_campaigns(conn)
    if _plain(wanted) == _plain(held):
        return
    await campaigns.put_campaigns(conn, wanted)
    moves: dict[InvoiceKey, _Move] = {}
    async for key, metadata, apps, old in campaigns.memberships(conn):
        new = membership(key[0], metadata, apps, wanted)
        if new != old:
            moves[key] = (old, new)
    await move_invoices(conn, moves)
    await campaigns.put_memberships(conn, {key: new for key, (_, new) in moves.items()})
    item = {"campaigns": [one.slug for one in wanted], "invoices": len(moves)}
    dirty.tell(Change("campaign.regrouped", "btcpay", ""), item)


def _plain(found: tuple[Campaign, ...]) -> list[tuple[object, ...]]:
    return [
        (one.slug, one.title, sorted(one.projects), one.rules, one.target_sats) for one in found
    ]


async def _keep_stores(conn: AsyncConnection, grouped: CampaignsConfigured) -> None:
    """From when on events are expected of a store; one that expects them already stays as it is."""
    expecting = {label for label, expected in grouped.stores.items() if expected}
    known = await cursors.names_of(conn, cursors.STORE_EVENTS)
    for label in known - expecting:
        await cursors.drop_cursor(conn, cursors.STORE_EVENTS, label)
    for label in sorted(expecting - known):
        await cursors.put_cursor(conn, cursors.STORE_EVENTS, label, grouped.at, None)
    await deliveries.forget_expected(conn, expecting)


async def move_invoices(conn: AsyncConnection, moves: Mapping[InvoiceKey, _Move]) -> None:
    """Let the booked rows of these invoices be summed under other campaigns."""
    found: list[Effect] = []
    elsewhere = [key for key, (old, new) in moves.items() if old.campaign != new.campaign]
    for store, ids in by_store(elsewhere).items():
        for one in await movements.booked_of_invoices(conn, store, ids):
            assert one.row.invoice is not None, "it was asked for by its invoice"
            old, new = moves[one.row.invoice]
            found.append(Effect(old.campaign, one.row, -1))
            found.append(Effect(new.campaign, one.row, 1))
    await movements.add_to_hours(conn, found)

"""What belongs together as people ask for it: configured campaigns, and what none of them names.

A store's unmatched invoices are a group under its label, a project one under its identifier.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Row, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.paging import Page, Place, beyond, cut
from raised.db.queries.summary import SHOWN_PROJECT
from raised.db.schema import campaign, campaign_project, invoice, project
from raised.db.stored_settings import read_stored_settings

_CONFIGURED, _STORE, _PROJECT = 0, 1, 2


class _Rule(msgspec.Struct, frozen=True):
    store: str


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign. `stores`: labels of the stores whose invoices it may hold."""

    slug: str
    title: str
    target_sats: int | None
    project_ids: tuple[str, ...]
    stores: tuple[str, ...]


EVERY_SHOWN: Final = select(project.c.id).where(
    SHOWN_PROJECT, project.c.id.not_in(select(campaign_project.c.project_id))
)


async def find_campaign(conn: AsyncConnection, slug: str) -> CampaignView | None:
    """The group of this name; None when there is none."""
    configured = select(campaign).where(campaign.c.slug == slug)
    if (row := (await conn.execute(configured)).first()) is not None:
        return await _configured(conn, row)
    if slug in await _stores(conn):
        return CampaignView(slug, slug, None, (), (slug,))
    alone = select(project).where(project.c.id == slug, project.c.id.in_(EVERY_SHOWN))
    row = (await conn.execute(alone)).first()
    return None if row is None else _of_project(row)


async def list_campaigns(conn: AsyncConnection, after: Place | None, limit: int) -> Page[str]:
    """A page of groups' names: configured campaigns, then stores, then projects by themselves."""
    stores = [
        select(literal(_STORE).label("rank"), literal(label).label("slug"))
        for label in await _stores(conn)
    ]
    ranked = union_all(
        select(literal(_CONFIGURED).label("rank"), campaign.c.slug.label("slug")),
        *stores,
        EVERY_SHOWN.with_only_columns(literal(_PROJECT).label("rank"), project.c.id.label("slug")),
    ).subquery()
    rank, slug = ranked.c.rank, ranked.c.slug
    statement = select(rank, slug).order_by(rank, slug).limit(limit + 1)
    if after is not None:
        statement = statement.where(beyond(rank, slug, after, descending=False))
    rows = [(int(row.rank), str(row.slug)) for row in await conn.execute(statement)]
    return cut(rows, limit)


async def _stores(conn: AsyncConnection) -> tuple[str, ...]:
    """The stores that are followed, and those that once were and still hold invoices."""
    followed = (await read_stored_settings(conn)).store_labels or ()
    with_invoices = await conn.scalars(select(invoice.c.store).distinct())
    return tuple(sorted({*followed, *with_invoices}))


async def _configured(conn: AsyncConnection, row: Row[Any]) -> CampaignView:
    members = select(campaign_project.c.project_id).where(campaign_project.c.slug == row.slug)
    ids = tuple(sorted(await conn.scalars(members)))
    rules = msgspec.json.decode(row.rules, type=tuple[_Rule, ...])
    target = row.target_sats
    if target is None:
        own = select(func.sum(project.c.target_sats)).where(project.c.id.in_(ids))
        found = await conn.scalar(own)
        target = None if found is None else int(found)
    return CampaignView(
        row.slug, row.title, target, ids, tuple(sorted({rule.store for rule in rules}))
    )


def _of_project(row: Row[Any]) -> CampaignView:
    return CampaignView(row.id, row.name or row.id, row.target_sats, (row.id,), ())

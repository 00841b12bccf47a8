"""Campaigns as configured, and which of them invoices and projects belong to."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, rows_among
from raised.db.schema import campaign, campaign_project, invoice
from raised.domain.campaign import Campaign, Membership, StoreRule
from raised.domain.ledger import InvoiceKey

_AT_ONCE = 1000  # a turn of the loop for each row would cost more than the row


async def read_campaigns(conn: AsyncConnection) -> tuple[Campaign, ...]:
    """All campaigns, by slug."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for row in await conn.execute(select(campaign_project)):
        members[row.slug].append(row.project_id)
    statement = select(campaign).order_by(campaign.c.slug)
    return tuple(
        Campaign(
            slug=row.slug,
            title=row.title,
            projects=tuple(sorted(members[row.slug])),
            rules=_rules(row.rules),
            target_sats=row.target_sats,
        )
        for row in await conn.execute(statement)
    )


async def replace_campaigns(conn: AsyncConnection, campaigns: Sequence[Campaign]) -> None:
    """These are all campaigns from now on."""
    await conn.execute(delete(campaign_project))
    await conn.execute(delete(campaign))
    rows = [
        {
            "slug": one.slug,
            "title": one.title,
            "target_sats": one.target_sats,
            "rules": json.dumps([asdict(rule) for rule in one.rules]),
        }
        for one in campaigns
    ]
    await add(conn, campaign, rows)
    projects = [
        {"project_id": project_id, "slug": one.slug}
        for one in campaigns
        for project_id in one.projects
    ]
    await add(conn, campaign_project, projects)


async def campaigns_of_projects(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """The campaign of each of these projects: one that names it, else its own."""
    wanted = set(ids)
    statement = select(campaign_project)
    rows = await rows_among(conn, statement, campaign_project.c.project_id, wanted)
    return {one: one for one in wanted} | {row.project_id: row.slug for row in rows}


async def memberships(
    conn: AsyncConnection,
) -> AsyncIterator[tuple[InvoiceKey, Mapping[str, str], frozenset[str], Membership]]:
    """Each invoice's metadata and apps, and where it belongs by what is kept."""
    this = invoice.c
    columns = select(this.store, this.id, this.metadata, this.apps, this.campaign, this.ambiguous)
    async with conn.stream(columns) as rows:
        async for some in rows.partitions(_AT_ONCE):
            for row in some:
                belongs = Membership(row.campaign, row.ambiguous)
                metadata: Any = json.loads(row.metadata)
                yield (row.store, row.id), metadata, frozenset(json.loads(row.apps)), belongs


async def put_memberships(conn: AsyncConnection, belongs: Mapping[InvoiceKey, Membership]) -> None:
    """Let invoices belong there from now on."""
    this = invoice.c
    together: defaultdict[tuple[str, Membership], list[str]] = defaultdict(list)
    for (store, invoice_id), one in sorted(belongs.items(), key=lambda pair: pair[0]):
        together[store, one].append(invoice_id)
    for (store, one), ids in together.items():
        statement = update(invoice).where(this.store == store)
        values = {"campaign": one.campaign, "ambiguous": one.ambiguous}
        await change_among(conn, statement.values(values), this.id, ids)


@lru_cache(maxsize=256)
def _rules(text: str) -> tuple[StoreRule, ...]:
    return tuple(StoreRule(**one) for one in json.loads(text))

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
    """Store these campaigns and drop all others."""
    await conn.execute(delete(campaign_project))
    await conn.execute(delete(campaign))
    rows = [
        {
            "slug": configured.slug,
            "title": configured.title,
            "target_sats": configured.target_sats,
            "rules": json.dumps([asdict(rule) for rule in configured.rules]),
        }
        for configured in campaigns
    ]
    await add(conn, campaign, rows)
    projects = [
        {"project_id": project_id, "slug": configured.slug}
        for configured in campaigns
        for project_id in configured.projects
    ]
    await add(conn, campaign_project, projects)


async def campaigns_of_projects(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """The campaign of each of these projects: one that names it, else its own."""
    wanted = set(ids)
    statement = select(campaign_project)
    rows = await rows_among(conn, statement, campaign_project.c.project_id, wanted)
    return {project_id: project_id for project_id in wanted} | {
        row.project_id: row.slug for row in rows
    }


async def memberships(
    conn: AsyncConnection,
) -> AsyncIterator[tuple[InvoiceKey, Mapping[str, str], frozenset[str], Membership]]:
    """Each invoice's metadata and crowdfund apps, and the campaign that it is stored under."""
    fields = invoice.c
    columns = select(
        fields.store, fields.id, fields.metadata, fields.apps, fields.campaign, fields.ambiguous
    )
    async with conn.stream(columns) as rows:
        async for batch in rows.partitions(_AT_ONCE):
            for row in batch:
                belongs = Membership(row.campaign, row.ambiguous)
                metadata: Any = json.loads(row.metadata)
                yield (row.store, row.id), metadata, frozenset(json.loads(row.apps)), belongs


async def put_memberships(conn: AsyncConnection, belongs: Mapping[InvoiceKey, Membership]) -> None:
    """Store to which campaigns these invoices belong."""
    columns = invoice.c
    together: defaultdict[tuple[str, Membership], list[str]] = defaultdict(list)
    for (store, invoice_id), belonging in sorted(belongs.items(), key=lambda pair: pair[0]):
        together[store, belonging].append(invoice_id)
    for (store, belonging), ids in together.items():
        statement = update(invoice).where(columns.store == store)
        values = {"campaign": belonging.campaign, "ambiguous": belonging.ambiguous}
        await change_among(conn, statement.values(values), columns.id, ids)


@lru_cache(maxsize=256)
def _rules(text: str) -> tuple[StoreRule, ...]:
    return tuple(StoreRule(**fields) for fields in json.loads(text))

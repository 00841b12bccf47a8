"""Campaigns as configured, and which of them invoices and projects belong to."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, rows_among
from raised.db.schema import campaign, campaign_project, invoice
from raised.domain.campaign import Campaign, Membership, StoreRule
from raised.domain.ledger import InvoiceKey


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


async def put_campaigns(conn: AsyncConnection, campaigns: Sequence[Campaign]) -> None:
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
        async for row in rows:
            belongs = Membership(row.campaign, row.ambiguous)
            metadata: Any = json.loads(row.metadata)
            apps = frozenset(json.loads(row.apps))
            yield (row.store, row.id), metadata, apps, belongs


async def put_memberships(conn: AsyncConnection, belongs: Mapping[InvoiceKey, Membership]) -> None:
    """Let invoices belong there from now on."""
    rows = [
        {
            "key_store": store,
            "key_id": invoice_id,
            "slug": one.campaign,
            "doubtful": one.ambiguous,
        }
        for (store, invoice_id), one in sorted(belongs.items(), key=lambda pair: pair[0])
    ]
    if not rows:
        return
    this = invoice.c
    one = (this.store == bindparam("key_store")) & (this.id == bindparam("key_id"))
    values: dict[str, Any] = {"campaign": bindparam("slug"), "ambiguous": bindparam("doubtful")}
    await conn.execute(update(invoice).where(one).values(values), rows)


@lru_cache(maxsize=256)
def _rules(text: str) -> tuple[StoreRule, ...]:
    return tuple(StoreRule(**one) for one in json.loads(text))

"""Campaigns: projects and invoices that belong together, with combined totals by source."""

from litestar.di import NamedDependency

from raised.db.items.items import percent_of
from raised.db.queries.campaign_groups import CampaignView, find_campaign, list_campaigns
from raised.errors import NotInRecord
from raised_api.http.endpoint import read
from raised_api.http.parameters import CURSOR, LIMIT, read_cursor, write_cursor
from raised_api.http.request_context import RequestContext
from raised_api.openapi import schemas
from raised_api.totals.totals import read_totals, scope_of

_LIST = "campaigns"


@read(
    "/campaigns",
    name="campaigns",
    summary="Campaigns: the configured ones, then stores, then projects by themselves.",
    schema=schemas.CampaignPage,
    parameters=(LIMIT, CURSOR),
)
async def campaigns(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """A page of campaigns."""
    after = read_cursor(_LIST, context.query["cursor"], str)
    page = await list_campaigns(context.conn, after, context.query["limit"])
    groups = [await find_campaign(context.conn, name) for name in page.keys]
    return {
        "items": [await _item(context, group) for group in groups if group is not None],
        "next_cursor": write_cursor(_LIST, page.next),
        "as_of": context.as_of_block(),
    }


@read(
    "/campaigns/{slug:str}",
    name="campaign",
    summary="One campaign by its slug, a store's label or a project's identifier.",
    schema=schemas.CampaignDetail,
)
async def campaign(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """One campaign."""
    group = await find_campaign(context.conn, context.path["slug"])
    if group is None:
        raise NotInRecord("The record has no such campaign")
    return await _item(context, group) | {"as_of": context.as_of_block()}


async def _item(context: RequestContext, group: CampaignView) -> dict[str, object]:
    found = await read_totals(context.conn, scope_of(group))
    raised_sats = found.totals["raised_sats"]
    return {
        "slug": group.slug,
        "title": group.title,
        "target_sats": group.target_sats,
        "percent": percent_of(raised_sats, group.target_sats),
        "projects": list(group.project_ids),
        "stores": list(group.stores),
        "totals": found.totals,
        "angor": found.angor,
        "btcpay": found.btcpay,
    }


CAMPAIGNS = (
    campaigns,
    campaign,
)

"""Campaigns: projects and invoices that belong together, with combined totals by source."""

import msgspec
from litestar.di import NamedDependency
from msgspec.structs import asdict

from raised.db.items.project_item import percent_of
from raised.db.queries.campaign_groups import CampaignView, find_campaign, list_campaigns
from raised.errors import NotInRecord
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf, Page
from raised_api.http.parameters import CURSOR, LIMIT, read_cursor, write_cursor
from raised_api.http.request_context import RequestContext
from raised_api.totals.totals import AngorTotals, BtcpayTotals, Totals, read_totals, scope_of

_LIST = "campaigns"


class Campaign(msgspec.Struct, frozen=True):
    slug: str
    title: str
    target_sats: int | None
    percent: float | None
    projects: list[str]
    stores: list[str]
    totals: Totals
    angor: AngorTotals
    btcpay: BtcpayTotals


class CampaignDetail(Campaign, frozen=True):
    as_of: AsOf


class CampaignPage(Page[Campaign], frozen=True):
    pass


@read(
    "/campaigns",
    name="campaigns",
    summary="Campaigns: the configured ones, then stores, then projects by themselves.",
    parameters=(LIMIT, CURSOR),
)
async def campaigns(context: NamedDependency[RequestContext]) -> CampaignPage:
    """A page of campaigns."""
    after = read_cursor(_LIST, context.query["cursor"], str)
    page = await list_campaigns(context.conn, after, context.query["limit"])
    groups = [await find_campaign(context.conn, name) for name in page.keys]
    return CampaignPage(
        items=[await _campaign(context, group) for group in groups if group is not None],
        next_cursor=write_cursor(_LIST, page.next),
        as_of=context.as_of_block(),
    )


@read(
    "/campaigns/{slug:str}",
    name="campaign",
    summary="One campaign by its slug, a store's label or a project's identifier.",
)
async def campaign(context: NamedDependency[RequestContext]) -> CampaignDetail:
    """One campaign."""
    group = await find_campaign(context.conn, context.path["slug"])
    if group is None:
        raise NotInRecord("The record has no such campaign")
    item = await _campaign(context, group)
    return CampaignDetail(**asdict(item), as_of=context.as_of_block())


async def _campaign(context: RequestContext, group: CampaignView) -> Campaign:
    by_source = await read_totals(context.conn, scope_of(group))
    return Campaign(
        slug=group.slug,
        title=group.title,
        target_sats=group.target_sats,
        percent=percent_of(by_source.totals.raised_sats, group.target_sats),
        projects=list(group.project_ids),
        stores=list(group.stores),
        totals=by_source.totals,
        angor=by_source.angor,
        btcpay=by_source.btcpay,
    )


CAMPAIGNS = (
    campaigns,
    campaign,
)

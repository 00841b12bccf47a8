"""What was raised, in one shape for everything: the whole record, or one campaign."""

from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.project_item import ProjectTotals
from raised.db.queries import summary as record
from raised.db.queries.campaign_groups import CampaignView, find_campaign
from raised.db.queries.project_detail import is_shown
from raised.db.queries.store_sums import InvoicesByStatus, StoreTotals, store_totals
from raised.db.queries.sums import Scope
from raised.domain.ledger import MSATS_PER_SAT
from raised_api.http.parameters import Parameter, text_matching
from raised_api.http.problem_document import Fault
from raised_api.http.problems import invalid_parameters
from raised_api.http.request_context import RequestContext

_NAME = "[a-z][0-9a-z-]{0,99}"

CAMPAIGN: Parameter = text_matching(
    "campaign", _NAME, "A campaign's slug; a store's label or a project's identifier without one."
)

_NO_STORE: Final = StoreTotals(0, 0, 0, 0, 0, 0, InvoicesByStatus(0, 0, 0, 0, 0, 0), {})


class Totals(msgspec.Struct, frozen=True):
    raised_sats: int
    returned_sats: int
    net_sats: int
    unconfirmed_sats: int
    contributions: int
    contributors: int
    average_contribution_sats: int
    median_contribution_sats: int


class AngorTotals(ProjectTotals, frozen=True):
    investments: int
    investors: int
    rejected_investments: int


class OtherCurrency(msgspec.Struct, frozen=True):
    currency: str
    amount: str


class BtcpayTotals(msgspec.Struct, frozen=True):
    raised_sats: int
    returned_sats: int
    net_sats: int
    pending_sats: int
    disowned_sats: int
    off_platform_invoices: int
    invoices: int
    invoices_by_status: InvoicesByStatus
    other_currencies: list[OtherCurrency]


@dataclass(frozen=True, slots=True)
class TotalsBySource:
    """Each source's own totals, and what both come to."""

    totals: Totals
    angor: AngorTotals
    btcpay: BtcpayTotals


def scope_of(group: CampaignView | None, source: str | None = None) -> Scope:
    """The part of the ledger that is this campaign's; all of it without one."""
    if group is None:
        return Scope(source)
    return Scope(source, group.project_ids, group.slug if group.stores else None)


async def requested_campaign(context: RequestContext) -> CampaignView | None:
    """The campaign that `?campaign=` names.

    Raises:
        Problem: there is none of that name.
    """
    name: str | None = context.query["campaign"]
    if name is None:
        return None
    group = await find_campaign(context.conn, name)
    if group is None:
        raise invalid_parameters([Fault("campaign", "names no campaign of the record")])
    return group


async def requested_scope(context: RequestContext) -> Scope:
    """The part of the ledger that `?source=`, `?project=` and `?campaign=` name.

    Raises:
        Problem: there is no such campaign or project, or both are named.
    """
    source, project_id = context.query["source"], context.query["project"]
    group = await requested_campaign(context)
    if project_id is None:
        return scope_of(group, source)
    if group is not None:
        raise invalid_parameters([Fault("project", "cannot be given together with campaign")])
    await require_known_project(context, project_id)
    return Scope(source, (project_id,))


async def require_known_project(context: RequestContext, project_id: str) -> None:
    """Go on only when the record shows the project that `?project=` names.

    Raises:
        Problem: it does not.
    """
    if not await is_shown(context.conn, project_id):
        raise invalid_parameters([Fault("project", "there is none of that identifier")])


async def read_totals(conn: AsyncConnection, scope: Scope) -> TotalsBySource:
    """All totals of a part of the ledger."""
    angor = await record.angor_totals(conn, scope.project_ids)
    investors = await record.count_investors(conn, scope.project_ids)
    stores = await store_totals(conn, scope.campaign) if scope.has_invoices else _NO_STORE
    median = await record.median_contribution(conn, scope)
    return TotalsBySource(
        _both(angor, investors, stores, median), _angor(angor, investors), _btcpay(stores)
    )


def _both(angor: record.AngorTotals, investors: int, stores: StoreTotals, median: int) -> Totals:
    raised = angor.raised + stores.raised_msats // MSATS_PER_SAT
    returned = angor.returned + stores.returned_msats // MSATS_PER_SAT
    contributions = angor.investments + stores.contributions
    return Totals(
        raised_sats=raised,
        returned_sats=returned,
        net_sats=raised - returned,
        unconfirmed_sats=angor.unconfirmed + stores.pending_msats // MSATS_PER_SAT,
        contributions=contributions,
        contributors=investors + stores.contributions,
        average_contribution_sats=raised // max(contributions, 1),
        median_contribution_sats=median,
    )


def _angor(totals: record.AngorTotals, investors: int) -> AngorTotals:
    return AngorTotals(
        raised_sats=totals.raised,
        returned_sats=totals.returned,
        net_sats=totals.net,
        locked_sats=totals.locked,
        claimed_sats=totals.claimed,
        unknown_sats=totals.unknown,
        in_penalty_sats=totals.in_penalty,
        penalty_released_sats=totals.penalty_released,
        unconfirmed_sats=totals.unconfirmed,
        investments=totals.investments,
        investors=investors,
        rejected_investments=totals.rejected_investments,
    )


def _btcpay(totals: StoreTotals) -> BtcpayTotals:
    raised, returned = totals.raised_msats // MSATS_PER_SAT, totals.returned_msats // MSATS_PER_SAT
    return BtcpayTotals(
        raised_sats=raised,
        returned_sats=returned,
        net_sats=raised - returned,
        pending_sats=totals.pending_msats // MSATS_PER_SAT,
        disowned_sats=totals.disowned_msats // MSATS_PER_SAT,
        off_platform_invoices=totals.off_platform,
        invoices=sum(msgspec.structs.astuple(totals.by_status)),
        invoices_by_status=totals.by_status,
        other_currencies=[
            OtherCurrency(currency, amount) for currency, amount in totals.other_currencies.items()
        ],
    )

"""Investments, in any status, and one of them."""

import re

from litestar.di import NamedDependency
from msgspec.structs import asdict

from raised.db.items.investment_item import Investment, investment_items
from raised.db.queries.investment_list import (
    INVESTMENT_STATUSES,
    InvestmentFilter,
    list_investments,
)
from raised.errors import NotInRecord
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf, Page
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    PROJECT,
    SINCE,
    UNTIL,
    choices,
    read_cursor,
    texts_matching,
    to_seconds,
    write_cursor,
)
from raised_api.http.request_context import RequestContext
from raised_api.routes.projects import require_project
from raised_api.totals.totals import require_known_project

_DEFAULT_STATUSES = ("confirmed", "unconfirmed")
_TXID = re.compile(r"[0-9a-f]{64}")
_OWN = (
    choices("status", (*INVESTMENT_STATUSES, "all"), "Only in these; default: counted or coming."),
    texts_matching("reason", "[a-z_]{1,40}", "Only rejected for these reasons."),
    SINCE,
    UNTIL,
    LIMIT,
    CURSOR,
)


class InvestmentDetail(Investment, frozen=True):
    as_of: AsOf


class InvestmentPage(Page[Investment], frozen=True):
    pass


@read(
    "/investments",
    name="investments",
    summary="Investments, newest first.",
    parameters=(PROJECT, *_OWN),
)
async def investments(context: NamedDependency[RequestContext]) -> InvestmentPage:
    """A page of investments."""
    project_id: str | None = context.query["project"]
    if project_id is not None:
        await require_known_project(context, project_id)
    return await _page(context, project_id)


@read(
    "/projects/{project_id:str}/investments",
    name="project_investments",
    summary="A project's investments, newest first.",
    parameters=_OWN,
)
async def project_investments(context: NamedDependency[RequestContext]) -> InvestmentPage:
    """A page of a project's investments."""
    return await _page(context, await require_project(context))


@read(
    "/investments/{txid:str}",
    name="investment",
    summary="One transaction that pays a project, counted or not, and why.",
)
async def investment(context: NamedDependency[RequestContext]) -> InvestmentDetail:
    """One transaction, in any status."""
    txid = context.path["txid"]
    items = await investment_items(context.conn, [txid]) if _TXID.fullmatch(txid) else {}
    if txid not in items:
        raise NotInRecord("The record has no such investment")
    return InvestmentDetail(**asdict(items[txid]), as_of=context.as_of_block())


async def _page(context: RequestContext, project_id: str | None) -> InvestmentPage:
    query = context.query
    page = await list_investments(
        context.conn,
        InvestmentFilter(
            statuses=_statuses(query["status"], query["reason"]),
            reasons=query["reason"],
            project_id=project_id,
            since=to_seconds(query["since"]),
            until=to_seconds(query["until"]),
        ),
        read_cursor("investments", query["cursor"], str),
        query["limit"],
    )
    items = await investment_items(context.conn, page.keys)
    return InvestmentPage(
        items=list(items.values()),
        next_cursor=write_cursor("investments", page.next),
        as_of=context.as_of_block(),
    )


def _statuses(statuses: tuple[str, ...], reasons: tuple[str, ...]) -> tuple[str, ...]:
    if "all" in statuses:
        return INVESTMENT_STATUSES
    if not statuses:
        return ("rejected",) if reasons else _DEFAULT_STATUSES
    return statuses


INVESTMENTS = (
    investments,
    investment,
    project_investments,
)

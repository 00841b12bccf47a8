"""The summary: what has really been raised, in one answer."""

import msgspec
from litestar.di import NamedDependency

from raised.db.queries import summary as record
from raised.db.queries.summary import ProjectCounts
from raised.db.queries.sums import (
    Scope,
    Window,
    contributions_in,
    msats_of,
    sums_by_kind,
)
from raised.domain.ledger import MSATS_PER_SAT, RAISING_KINDS, RETURNING_KINDS
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf
from raised_api.http.request_context import RequestContext
from raised_api.totals.totals import (
    CAMPAIGN,
    AngorTotals,
    BtcpayTotals,
    Totals,
    read_totals,
    requested_campaign,
    scope_of,
)

_DAY = 86_400


class Lately(msgspec.Struct, frozen=True):
    raised_sats: int
    returned_sats: int
    contributions: int


class Summary(msgspec.Struct, frozen=True):
    network: str
    as_of: AsOf
    projects: ProjectCounts
    totals: Totals
    angor: AngorTotals
    btcpay: BtcpayTotals
    last_24h: Lately
    last_7d: Lately
    last_30d: Lately


@read(
    "/summary",
    name="summary",
    summary="What has really been raised: totals over everything or one campaign, and lately.",
    parameters=(CAMPAIGN,),
)
async def summary(context: NamedDependency[RequestContext]) -> Summary:
    """The answer of the summary."""
    scope = scope_of(await requested_campaign(context))
    by_source = await read_totals(context.conn, scope)
    return Summary(
        network=await record.read_network(context.conn),
        as_of=context.as_of_block(),
        projects=await record.project_counts(context.conn, scope.project_ids),
        totals=by_source.totals,
        angor=by_source.angor,
        btcpay=by_source.btcpay,
        last_24h=await _last(context, scope, _DAY),
        last_7d=await _last(context, scope, 7 * _DAY),
        last_30d=await _last(context, scope, 30 * _DAY),
    )


async def _last(context: RequestContext, scope: Scope, seconds: int) -> Lately:
    window = Window(context.minute - seconds, context.minute)
    sums = await sums_by_kind(context.conn, window, scope)
    return Lately(
        raised_sats=msats_of(sums, RAISING_KINDS) // MSATS_PER_SAT,
        returned_sats=msats_of(sums, RETURNING_KINDS) // MSATS_PER_SAT,
        contributions=await contributions_in(context.conn, window, scope),
    )


SUMMARY = (summary,)

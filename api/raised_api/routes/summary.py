"""The summary: what has really been raised, in one answer."""

from litestar.di import NamedDependency

from raised.db.queries import summary as record
from raised.db.queries.sums import (
    Scope,
    Window,
    contributions_in,
    msats_of,
    sums_by_kind,
)
from raised.domain.ledger import MSATS_PER_SAT, RAISING_KINDS, RETURNING_KINDS
from raised_api.http.endpoint import read
from raised_api.http.request_context import RequestContext
from raised_api.openapi.schemas import Summary
from raised_api.totals.totals import CAMPAIGN, read_totals, requested_campaign, scope_of

_DAY = 86_400
_WINDOWS = {"last_24h": _DAY, "last_7d": 7 * _DAY, "last_30d": 30 * _DAY}


@read(
    "/summary",
    name="summary",
    summary="What has really been raised: totals over everything or one campaign, and lately.",
    schema=Summary,
    parameters=(CAMPAIGN,),
)
async def summary(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """The answer of the summary."""
    scope = scope_of(await requested_campaign(context))
    found = await read_totals(context.conn, scope)
    answer: dict[str, object] = {
        "network": await record.read_network(context.conn),
        "as_of": context.as_of_block(),
        "projects": await record.project_counts(context.conn, scope.project_ids),
        "totals": found.totals,
        "angor": found.angor,
        "btcpay": found.btcpay,
    }
    for name, seconds in _WINDOWS.items():
        answer[name] = await _window(context, scope, seconds)
    return answer


async def _window(context: RequestContext, scope: Scope, seconds: int) -> dict[str, int]:
    window = Window(context.minute - seconds, context.minute)
    sums = await sums_by_kind(context.conn, window, scope)
    return {
        "raised_sats": msats_of(sums, RAISING_KINDS) // MSATS_PER_SAT,
        "returned_sats": msats_of(sums, RETURNING_KINDS) // MSATS_PER_SAT,
        "contributions": await contributions_in(context.conn, window, scope),
    }


SUMMARY = (summary,)

"""Series: what came and went in each day or week."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import tzinfo
from itertools import accumulate, pairwise

import msgspec
from litestar.di import NamedDependency

from raised.db.items.instant import Time, rfc3339
from raised.db.queries.sums import (
    HOUR,
    Scope,
    contributions_at,
    ends_of_ledger,
    first_invoice_at,
    hourly,
    invoices_at,
    quarterly,
)
from raised.domain.ledger import MSATS_PER_SAT, RAISING_KINDS, RETURNING_KINDS
from raised.errors import InvalidInput
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf
from raised_api.http.parameters import PROJECT, choice, flag, time_or_date, time_zone, to_seconds
from raised_api.http.problem_document import Fault
from raised_api.http.problems import invalid_parameters
from raised_api.http.request_context import RequestContext
from raised_api.routes.projects import require_project
from raised_api.totals.hourly_totals import HourlyTotals
from raised_api.totals.time_buckets import edges_between
from raised_api.totals.totals import CAMPAIGN, requested_scope

_METRICS: dict[str, tuple[Collection[str], Collection[str]]] = {
    "raised": (RAISING_KINDS, ()),
    "returned": (RETURNING_KINDS, ()),
    "net": (RAISING_KINDS, RETURNING_KINDS),
    "claimed": (("claim",), ()),
}
_COUNTED = {"contributions": contributions_at, "invoices": invoices_at}
_QUARTER = 900

# When, and what it adds and takes away: millisatoshis, or a count.
_Row = tuple[int, int, int]


class Point(msgspec.Struct, frozen=True):
    at: Time
    value: int
    cumulative: int | None
    partial: bool


class Series(msgspec.Struct, frozen=True):
    metric: str
    bucket: str
    unit: str
    points: list[Point]
    as_of: AsOf


_OWN = (
    choice("metric", (*_METRICS, *_COUNTED), "What is measured.", "raised"),
    choice("bucket", ("day", "week"), "How long a point lasts.", "day"),
    time_or_date("since", "From the bucket that holds this time or date (in `tz`)."),
    time_or_date("until", "To the bucket that ends at or after this time or date (in `tz`)."),
    time_zone("tz", "IANA name of the time zone whose days count."),
    flag("cumulative", "Also the sum since the ledger began."),
)


@read(
    "/series",
    name="series",
    summary="What came and went in each day or week, by the wall clock of a time zone.",
    parameters=(
        *_OWN,
        choice("source", ("angor", "btcpay"), "Only what this kind of source shows."),
        PROJECT,
        CAMPAIGN,
    ),
)
async def series(
    context: NamedDependency[RequestContext], hourly_totals: NamedDependency[HourlyTotals]
) -> Series:
    """The answer of the series."""
    return await _series(context, hourly_totals, await requested_scope(context))


@read(
    "/projects/{project_id:str}/series",
    name="project_series",
    summary="The same for one project.",
    parameters=_OWN,
)
async def project_series(
    context: NamedDependency[RequestContext], hourly_totals: NamedDependency[HourlyTotals]
) -> Series:
    """The answer of a project's series."""
    scope = Scope(project_ids=(await require_project(context),))
    return await _series(context, hourly_totals, scope)


async def _series(context: RequestContext, hourly_totals: HourlyTotals, scope: Scope) -> Series:
    metric: str = context.query["metric"]
    edges = await _edges(context, scope)
    rows = await _rows(context, hourly_totals, scope, edges) if edges else []
    unit = 1 if metric in _COUNTED else MSATS_PER_SAT
    return Series(
        metric=metric,
        bucket=context.query["bucket"],
        unit="count" if metric in _COUNTED else "sats",
        points=_points(edges, _running(edges, rows, unit), context),
        as_of=context.as_of_block(),
    )


async def _edges(context: RequestContext, scope: Scope) -> list[int]:
    """The buckets' edges: by default from the first row to now, or to the last row where a block's
    clock is ahead of ours.
    """
    zone: tzinfo = context.query["tz"]
    since = to_seconds(context.query["since"], zone)
    until = to_seconds(context.query["until"], zone)
    first, last = await ends_of_ledger(context.conn, scope)
    if context.query["metric"] == "invoices":
        first = await first_invoice_at(context.conn, scope)
    since = first if since is None else since
    until = max(context.minute, last or 0) + 1 if until is None else until
    if since is None or until <= since:
        return []
    try:
        return edges_between(since, until, context.query["bucket"], zone)
    except InvalidInput as error:
        raise invalid_parameters([Fault("since", str(error))]) from error


async def _rows(
    context: RequestContext, hourly_totals: HourlyTotals, scope: Scope, edges: Sequence[int]
) -> list[_Row]:
    """All that happened before the last edge, in steps that no edge divides."""
    metric: str = context.query["metric"]
    is_hourly = all(edge % HOUR == 0 for edge in edges)
    if metric in _COUNTED:
        step = HOUR if is_hourly else _QUARTER
        counted = await _COUNTED[metric](context.conn, step, scope, edges[-1])
        return [(at, number, 0) for at, number in counted]
    adding, taking = _METRICS[metric]
    kinds = (*adding, *taking)
    if not is_hourly:
        sums = await quarterly(context.conn, kinds, scope, edges[-1])
    elif scope.is_everything:
        sums = await hourly_totals.before(context.conn, kinds, scope.source, edges[-1])
    else:
        sums = await hourly(context.conn, kinds, scope, edges[-1])
    return [
        (at, msats, 0) if kind in adding else (at, 0, msats)  # each kind does either
        for at, kind, msats in sums
    ]


def _running(edges: Sequence[int], rows: Sequence[_Row], unit: int) -> list[int]:
    """What had come since the ledger began, at each edge. Each sum is floored, then taken away."""
    added, taken = [0] * (len(edges) + 1), [0] * (len(edges) + 1)
    for at, adds, takes in rows:
        index = bisect_right(edges, at)
        added[index] += adds
        taken[index] += takes
    return [
        plus // unit - minus // unit
        for plus, minus in zip(accumulate(added), accumulate(taken), strict=True)
    ][: len(edges)]


def _points(edges: Sequence[int], running: Sequence[int], context: RequestContext) -> list[Point]:
    is_cumulative: bool = context.query["cumulative"]
    return [
        Point(
            at=rfc3339(start),
            value=after - before,
            cumulative=after if is_cumulative else None,
            partial=end > context.now,
        )
        for (start, end), (before, after) in zip(pairwise(edges), pairwise(running), strict=True)
    ]


SERIES = (
    series,
    project_series,
)

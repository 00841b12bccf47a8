"""Movements: the ledger."""

from collections.abc import Iterable

from litestar.di import NamedDependency

from raised.db.items.movement_item import Movement, movement_items
from raised.db.queries.movement_list import MOVEMENT_KINDS, MovementFilter, list_movements
from raised.db.queries.sums import Scope
from raised_api.http.endpoint import read
from raised_api.http.envelope import Page
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    PROJECT,
    SINCE,
    UNTIL,
    choice,
    choices,
    read_cursor,
    to_seconds,
    write_cursor,
)
from raised_api.http.request_context import RequestContext
from raised_api.routes.projects import require_project
from raised_api.stream.redaction import public_movement
from raised_api.totals.totals import CAMPAIGN, requested_scope

_OWN = (choices("kind", MOVEMENT_KINDS, "Only of these kinds."), SINCE, UNTIL, LIMIT, CURSOR)


class MovementPage(Page[Movement], frozen=True):
    pass


@read(
    "/movements",
    name="movements",
    summary="The ledger, one row for each fact, newest first by when it happened.",
    parameters=(
        choice("source", ("angor", "btcpay"), "Only what this kind of source shows."),
        PROJECT,
        CAMPAIGN,
        *_OWN,
    ),
)
async def movements(context: NamedDependency[RequestContext]) -> MovementPage:
    """A page of the ledger."""
    return await _page(context, await requested_scope(context))


@read(
    "/projects/{project_id:str}/movements",
    name="project_movements",
    summary="A project's part of the ledger.",
    parameters=_OWN,
)
async def project_movements(context: NamedDependency[RequestContext]) -> MovementPage:
    """A page of a project's part of the ledger."""
    return await _page(context, Scope(project_ids=(await require_project(context),)))


async def _page(context: RequestContext, scope: Scope) -> MovementPage:
    query = context.query
    cursor = read_cursor("movements", query["cursor"], int)
    page = await list_movements(
        context.conn,
        MovementFilter(
            kinds=query["kind"],
            scope=scope,
            since=to_seconds(query["since"]),
            until=to_seconds(query["until"]),
            by_hour=not context.sees_invoices,
        ),
        None if cursor is None else int(cursor[1]),
        query["limit"],
    )
    items = await movement_items(context.conn, page.keys)
    visible = list(items.values()) if context.sees_invoices else _redacted(items.values())
    # Without the time, which is not for everybody.
    next_place = None if page.next is None else (0, page.next[1])
    return MovementPage(visible, write_cursor("movements", next_place), context.as_of_block())


def _redacted(movements: Iterable[Movement]) -> list[Movement]:
    return [public_movement(movement) for movement in movements]


MOVEMENTS = (
    movements,
    project_movements,
)

"""Projects: the list, one with everything about it, and its parts."""

from litestar.di import NamedDependency
from msgspec.structs import asdict

from raised.db.items.investor_item import Investor
from raised.db.items.profile_item import Profile
from raised.db.items.project_item import Project, project_items
from raised.db.items.stage_item import Stage
from raised.db.items.terms_item import Terms
from raised.db.queries import project_detail as record
from raised.db.queries.investor_list import list_investors
from raised.db.queries.project_list import Order, ProjectFilter, list_projects
from raised.db.queries.stage_list import stage_items
from raised.db.queries.summary import PROJECT_STATUSES
from raised.errors import NotInRecord
from raised_api.http.endpoint import read
from raised_api.http.envelope import AsOf, Page, WholeList
from raised_api.http.parameters import (
    CURSOR,
    LIMIT,
    SINCE,
    UNTIL,
    choice,
    choices,
    free_text,
    read_cursor,
    to_seconds,
    write_cursor,
)
from raised_api.http.request_context import RequestContext
from raised_api.totals.totals import CAMPAIGN, requested_campaign

_DEFAULT_STATUSES = ("confirmed", "committed", "event_missing")
_SORTS = ("created", "raised", "net", "percent", "investors", "ending")
_SORT = choice(
    "sort",
    [sign + name for name in _SORTS for sign in ("", "-")],
    "The order; `-` turns it round.",
    "-created",
)


class ProjectPage(Page[Project], frozen=True):
    pass


class ProjectDetail(Project, frozen=True):
    """A project with everything about it; `held_by` names the relays that hold its event."""

    profile: Profile | None
    terms: Terms | None
    stages: list[Stage]
    held_by: list[str]
    as_of: AsOf


class StageList(WholeList[Stage], frozen=True):
    as_of: AsOf


class InvestorPage(Page[Investor], frozen=True):
    pass


@read(
    "/projects",
    name="projects",
    summary="Projects: by default those that are committed on the chain, newest first.",
    parameters=(
        choices("status", (*PROJECT_STATUSES, "all"), "Only in these statuses.", _DEFAULT_STATUSES),
        choices("type", ("invest", "fund", "subscribe"), "Only of these types."),
        free_text("q", "Words of the name, the description or the identifier."),
        CAMPAIGN,
        _SORT,
        SINCE,
        UNTIL,
        LIMIT,
        CURSOR,
    ),
)
async def projects(context: NamedDependency[RequestContext]) -> ProjectPage:
    """A page of projects."""
    query = context.query
    sort: str = query["sort"]
    kind = f"projects {sort}"
    group = await requested_campaign(context)
    page = await list_projects(
        context.conn,
        ProjectFilter(
            statuses=PROJECT_STATUSES if "all" in query["status"] else query["status"],
            types=query["type"],
            text=query["q"],
            ids=None if group is None else group.project_ids,
            since=to_seconds(query["since"]),
            until=to_seconds(query["until"]),
        ),
        _order(sort),
        read_cursor(kind, query["cursor"], str),
        query["limit"],
    )
    items = await project_items(context.conn, page.keys)
    return ProjectPage(
        items=list(items.values()),
        next_cursor=write_cursor(kind, page.next),
        as_of=context.as_of_block(),
    )


def _order(sort: str) -> Order:
    is_descending = sort.startswith("-")
    for key in ("created", "raised", "net", "percent", "investors"):
        if sort.removeprefix("-") == key:
            return Order(key, is_descending)
    return Order("ending", is_descending)


@read(
    "/projects/{project_id:str}",
    name="project",
    summary="A project with profile, terms, stages, totals and the relays that hold it.",
)
async def project(context: NamedDependency[RequestContext]) -> ProjectDetail:
    """One project with everything about it."""
    project_id = await require_project(context)
    found = await project_items(context.conn, [project_id])
    return ProjectDetail(
        **asdict(found[project_id]),
        profile=await record.read_profile(context.conn, project_id),
        terms=await record.read_terms(context.conn, project_id),
        stages=await stage_items(context.conn, project_id),
        held_by=await record.read_holders(context.conn, project_id),
        as_of=context.as_of_block(),
    )


@read(
    "/projects/{project_id:str}/stages",
    name="project_stages",
    summary="What each release date holds, and what became of it.",
)
async def project_stages(context: NamedDependency[RequestContext]) -> StageList:
    """The calendar of a project."""
    stages = await stage_items(context.conn, await require_project(context))
    return StageList(stages, None, context.as_of_block())


@read(
    "/projects/{project_id:str}/investors",
    name="project_investors",
    summary="Who invested: keys, each known in this project alone. Newest first.",
    parameters=(LIMIT, CURSOR),
)
async def project_investors(context: NamedDependency[RequestContext]) -> InvestorPage:
    """A page of a project's investors."""
    project_id = await require_project(context)
    after = read_cursor("investors", context.query["cursor"], str)
    items, place = await list_investors(context.conn, project_id, after, context.query["limit"])
    return InvestorPage(items, write_cursor("investors", place), context.as_of_block())


async def require_project(context: RequestContext) -> str:
    """The identifier in the path.

    Raises:
        NotInRecord: the record has no such project to show.
    """
    project_id = context.path["project_id"]
    if not await record.is_shown(context.conn, project_id):
        raise NotInRecord("The record has no such project")
    return project_id


PROJECTS = (
    projects,
    project,
    project_stages,
    project_investors,
)

"""Changes as a list: the feed for those who cannot hold a stream open."""

from litestar.di import NamedDependency

from raised.db.items.change_item import Change
from raised.db.queries.feed import changes_after
from raised_api.http.endpoint import read
from raised_api.http.envelope import Page
from raised_api.http.parameters import CURSOR, LIMIT, read_cursor, write_cursor
from raised_api.http.request_context import RequestContext
from raised_api.stream.redaction import HIDDEN, public_change
from raised_api.stream.server_sent_events import AFTER, TYPE


class ChangePage(Page[Change], frozen=True):
    pass


@read(
    "/changes",
    name="changes",
    summary="What has happened, oldest first; go on with `after`, the greatest `seq` seen.",
    parameters=(AFTER, TYPE, LIMIT, CURSOR),
)
async def changes(context: NamedDependency[RequestContext]) -> ChangePage:
    """A page of changes, oldest first."""
    query = context.query
    cursor = read_cursor("changes", query["cursor"], int)
    after: int = query["after"] or 0
    if cursor is not None:
        after = cursor[0]
    limit: int = query["limit"]
    hidden = () if context.sees_invoices else HIDDEN
    rows = await changes_after(context.conn, after, limit + 1, query["type"], hidden)
    page = rows[:limit]
    is_more = len(rows) > limit
    visible = page if context.sees_invoices else filter(None, map(public_change, page))
    return ChangePage(
        items=list(visible),
        next_cursor=write_cursor("changes", (page[-1].seq, 0) if is_more else None),
        as_of=context.as_of_block(),
    )


CHANGES = (changes,)

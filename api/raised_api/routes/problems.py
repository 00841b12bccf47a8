"""What is wrong: with the daemon, with sources, and with single items that are set aside."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.explorer_item import explorer_items
from raised.db.items.instant import instant
from raised.db.items.relay_item import relay_items
from raised.db.items.source_item import Source
from raised.db.items.store_item import Store, store_items
from raised.db.queries.as_of import RecordState
from raised.db.queries.problems import StandingProblem, standing_problems
from raised.db.stored_settings import read_stored_settings
from raised.domain.observation import State
from raised_api.http.endpoint import read
from raised_api.http.parameters import CURSOR, LIMIT, read_cursor, write_cursor
from raised_api.http.request_context import RequestContext
from raised_api.http.webhook_secrets import WebhookSecrets
from raised_api.routes.problem_item import Severity, Trouble, problem_item
from raised_api.routes.secret_problems import secret_problems
from raised_api.routes.store_problems import store_problems
from raised_api.routes.unread_problems import unread_problems

_LIST: Final = "problems"
_SEVERITIES: Final[dict[State, Severity]] = {
    "ok": "warning",
    "degraded": "degraded",
    "down": "down",
}


class ProblemList(msgspec.Struct, frozen=True):
    items: list[Trouble]
    next_cursor: str | None


# How often and when last a problem was met moves without a change, so this is never cached.
@read(
    "/problems",
    name="problems",
    summary="What is wrong or set aside: with sources, and with single items of theirs.",
    parameters=(LIMIT, CURSOR),
    is_cached=False,
)
async def problems(context: NamedDependency[RequestContext]) -> ProblemList:
    """A page of problems, those that began last first. Subjects that lead to payers are null
    without the scope `invoices:read`.
    """
    settings = await read_stored_settings(context.conn)
    relays = await relay_items(context.conn, settings.relays)
    explorers = await explorer_items(context.conn, settings.explorers)
    stores = await store_items(context.conn, settings.store_labels)
    items = await read_problems(
        context.conn,
        context.as_of,
        [*relays.values(), *explorers.values(), *stores.values()],
        context.now,
        context.secrets,
        shows_private=context.sees_invoices,
    )
    place = read_cursor(_LIST, context.query["cursor"], str)
    return _page(items, place, context.query["limit"])


def _page(items: Sequence[Trouble], place: tuple[int, Any] | None, limit: int) -> ProblemList:
    """Newest first by (beginning, id), so that problems that begin or end move no other."""
    keyed = sorted(((_place(item), item) for item in items), key=lambda pair: pair[0], reverse=True)
    after = [(key, item) for key, item in keyed if place is None or key < place]
    shown = after[:limit]
    following = shown[-1][0] if len(after) > limit else None
    return ProblemList([item for _, item in shown], write_cursor(_LIST, following))


def _place(item: Trouble) -> tuple[int, str]:
    since_at = str(item.since_at or "")
    digits = int("".join(character for character in since_at if character.isdigit()) or 0)
    named = f"{item.source} {item.code} {item.subject}"
    return digits, sha256(named.encode()).hexdigest()


async def read_problems(
    conn: AsyncConnection,
    as_of: RecordState,
    sources: Sequence[Source],
    now: int,
    secrets: WebhookSecrets,
    *,
    shows_private: bool,
) -> list[Trouble]:
    """All problems, as /api/v1/problems and health list them; `sources`: the items of all.

    Without `shows_private` subjects that lead to payers are null.
    """
    standing = await standing_problems(conn, await read_stored_settings(conn))
    named = {problem.name for problem in standing if problem.state != "ok"}
    unnamed = [item for item in sources if item.state != "ok" and item.name not in named]
    stores = [source for source in sources if isinstance(source, Store)]
    return [
        *([] if as_of.daemon_alive(now) else [_of_daemon(as_of)]),
        *(_of_source(item) for item in unnamed),
        *(_of_standing(problem, shows_private=shows_private) for problem in standing),
        *await unread_problems(conn, {item.name for item in sources if item.state != "ok"}),
        *await store_problems(conn, stores, now),
        *await secret_problems(conn, (store.name for store in stores), secrets, now),
    ]


def _of_standing(problem: StandingProblem, *, shows_private: bool) -> Trouble:
    is_shown = shows_private or not problem.is_private
    return problem_item(
        problem.name,
        problem.code,
        problem.detail,
        instant(problem.since_at),
        subject=(problem.subject or None) if is_shown else None,
        last_at=instant(problem.last_at),
        tries=problem.tries,
        severity=_SEVERITIES[problem.state],
    )


def _of_source(source: Source) -> Trouble:
    """A source whose report names no problem, such as an explorer that others contradict."""
    error = source.last_error
    code = source.state if error is None else error.code
    detail = None if error is None else error.detail
    return problem_item(
        source.name,
        code,
        detail or f"The source is {source.state}.",
        source.since_at,
        severity=_SEVERITIES[source.state],
    )


def _of_daemon(as_of: RecordState) -> Trouble:
    if as_of.seen_at is None:
        detail = "No daemon has written to this record."
        return problem_item("daemon", "never_seen", detail, None, severity="down")
    detail = "The daemon has not been seen for a minute; nothing new is recorded."
    return problem_item("daemon", "not_seen", detail, instant(as_of.seen_at), severity="down")


PROBLEMS = (problems,)

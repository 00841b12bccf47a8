"""Events as they were signed, the relays that have them, announcements, deletions, profiles."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, exists, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, put, rows_among
from raised.db.schema import (
    announcement,
    deletion,
    event,
    event_relay,
    project,
    project_profile,
)
from raised.domain.angor.project_state import Candidate
from raised.domain.event import Event

_DIRECT_MESSAGE: Final = 4
_ESCAPED: Final = "\x01json\x01"  # begins a content that is stored as a JSON string


async def known_events(conn: AsyncConnection, ids: Iterable[str]) -> set[str]:
    """Those of these ids that the record has."""
    return {row.id for row in await rows_among(conn, select(event.c.id), event.c.id, ids)}


async def events_by_id(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, Event]:
    """The events with these ids that the record has."""
    return {row.id: event_of(row) for row in await rows_among(conn, select(event), event.c.id, ids)}


async def add_events(conn: AsyncConnection, events: Sequence[Event], at: int) -> None:
    """Add these events; the content of direct messages is left out, for it is private."""
    rows = [
        {
            "id": new.id,
            "pubkey": new.pubkey,
            "created_at": new.created_at,
            "kind": new.kind,
            "tags": json.dumps(new.tags, separators=(",", ":")),
            "content": "" if new.kind == _DIRECT_MESSAGE else stored_content(new.content),
            "sig": new.sig,
            "seen_at": at,
        }
        for new in events
    ]
    await add(conn, event, rows)


async def add_event_relays(
    conn: AsyncConnection, ids: Iterable[str], relay: str, at: int
) -> set[str]:
    """Store that this relay has these events; the ids of those of which that is new."""
    columns = select(event_relay.c.event_id).where(event_relay.c.relay == relay)
    wanted = list(dict.fromkeys(ids))
    known = {
        row.event_id for row in await rows_among(conn, columns, event_relay.c.event_id, wanted)
    }
    new = [event_id for event_id in wanted if event_id not in known]
    rows = [{"event_id": event_id, "relay": relay, "seen_at": at} for event_id in new]
    await add(conn, event_relay, rows)
    return set(new)


async def add_announcements(conn: AsyncConnection, candidates: Sequence[Candidate]) -> None:
    """Store what these events announce."""
    rows = [
        {
            "event_id": candidate.event_id,
            "project_id": candidate.project_id,
            "pubkey": candidate.pubkey,
            "created_at": candidate.created_at,
            "founder_key": candidate.founder_key,
            "reason": candidate.reason,
        }
        for candidate in candidates
    ]
    await add(conn, announcement, rows)


async def announcements_of(
    conn: AsyncConnection, project_ids: Iterable[str], event_ids: Iterable[str]
) -> tuple[Candidate, ...]:
    """The events that announce these projects, and those with these ids."""
    statement = (
        select(announcement, deletion.c.target)
        .select_from(announcement)
        .outerjoin(
            deletion,
            (deletion.c.target == announcement.c.event_id)
            & (deletion.c.pubkey == announcement.c.pubkey),
        )
    )
    rows = await rows_among(conn, statement, announcement.c.project_id, project_ids)
    rows += await rows_among(conn, statement, announcement.c.event_id, event_ids)
    return tuple({row.event_id: _candidate(row) for row in rows}.values())


async def projects_announced_by(conn: AsyncConnection, event_ids: Iterable[str]) -> set[str]:
    """The identifiers that these events announce."""
    statement = select(announcement.c.project_id).where(announcement.c.project_id.is_not(None))
    rows = await rows_among(conn, statement, announcement.c.event_id, event_ids)
    return {row.project_id for row in rows}


async def unchecked_events(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, Event]:
    """Those of these events that the record has, but not as announcements."""
    statement = select(event).where(~exists().where(announcement.c.event_id == event.c.id))
    return {row.id: event_of(row) for row in await rows_among(conn, statement, event.c.id, ids)}


async def add_deletions(conn: AsyncConnection, deletions: Iterable[tuple[str, str, int]]) -> None:
    """Store deletions as (target, author, when); an author's latest of a target counts."""
    latest: dict[tuple[str, str], int] = {}
    for target, pubkey, at in deletions:
        latest[target, pubkey] = max(at, latest.get((target, pubkey), at))
    known = await deletions_of(conn, [target for target, _ in latest])
    rows = [
        {"target": target, "pubkey": pubkey, "until_at": at}
        for (target, pubkey), at in latest.items()
        if known.get((target, pubkey), -1) < at
    ]
    await put(conn, deletion, rows)


async def deletions_of(conn: AsyncConnection, targets: Iterable[str]) -> dict[tuple[str, str], int]:
    """Until when these targets were deleted, by target and author."""
    rows = await rows_among(conn, select(deletion), deletion.c.target, targets)
    return {(row.target, row.pubkey): row.until_at for row in rows}


async def projects_with_event(conn: AsyncConnection, event_ids: Iterable[str]) -> set[str]:
    """The projects whose terms these events state."""
    statement = select(project.c.id).where(project.c.status != "hidden")
    return {row.id for row in await rows_among(conn, statement, project.c.event_id, event_ids)}


async def profiles_of(conn: AsyncConnection, pubkeys: Iterable[str], kind: int) -> dict[str, str]:
    """The content of the profile event of this kind, without d, by author."""
    statement = select(project_profile).where(
        project_profile.c.kind == kind, project_profile.c.d == ""
    )
    rows = await rows_among(conn, statement, project_profile.c.pubkey, pubkeys)
    return {row.pubkey: original_content(row.content) for row in rows}


async def current_profiles(
    conn: AsyncConnection, pubkeys: Iterable[str]
) -> dict[tuple[str, int, str], tuple[str, int]]:
    """The event that counts, as (id, created_at), by (author, kind, d)."""
    rows = await rows_among(conn, select(project_profile), project_profile.c.pubkey, pubkeys)
    return {(row.pubkey, row.kind, row.d): (row.event_id, row.created_at) for row in rows}


async def put_profiles(conn: AsyncConnection, events: Iterable[tuple[str, Event]]) -> None:
    """Let these events count for their author, kind and d, given as (d, event)."""
    rows = [
        {
            "pubkey": newest.pubkey,
            "kind": newest.kind,
            "d": d,
            "event_id": newest.id,
            "created_at": newest.created_at,
            "content": stored_content(newest.content),
            "tags": json.dumps(newest.tags, separators=(",", ":")),
        }
        for d, newest in events
    ]
    await put(conn, project_profile, rows)


async def drop_profile(conn: AsyncConnection, pubkey: str, kind: int, d: str) -> None:
    """Let no event count any more for this author, kind and d."""
    where = project_profile.c
    await conn.execute(
        delete(project_profile).where(where.pubkey == pubkey, where.kind == kind, where.d == d)
    )


async def events_without_content(
    conn: AsyncConnection, pubkey: str, kind: int
) -> tuple[Event, ...]:
    """All events of one author and kind that the record has, without what they say.

    An author may have written any number of them, each as long as relays take.
    """
    columns = [
        literal("").label(column.name) if column is event.c.content else column
        for column in event.c
    ]
    statement = select(*columns).where(event.c.pubkey == pubkey, event.c.kind == kind)
    return tuple(event_of(row) for row in await conn.execute(statement))


def stored_content(content: str) -> str:
    """A content as the database holds it: escaped with a NUL, which PostgreSQL's text has not."""
    if "\0" in content or content.startswith(_ESCAPED):
        return _ESCAPED + json.dumps(content)
    return content


def original_content(stored: str) -> str:
    """The content as it was signed."""
    if not stored.startswith(_ESCAPED):
        return stored
    content = json.loads(stored.removeprefix(_ESCAPED))
    assert isinstance(content, str), "written by stored_content"
    return content


def event_of(row: Row[Any]) -> Event:
    """The event of a row."""
    return Event(
        row.id,
        row.pubkey,
        row.created_at,
        row.kind,
        tuple(tuple(tag) for tag in json.loads(row.tags)),
        original_content(row.content),
        row.sig,
    )


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        row.event_id,
        row.pubkey,
        row.created_at,
        row.project_id,
        row.founder_key,
        row.reason,
        row.target is not None,
    )

"""Events: as they were signed, which relays hold them, what they announce and withdraw."""

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


async def known_events(conn: AsyncConnection, ids: Iterable[str]) -> set[str]:
    """Those of these ids that the record has."""
    return {row.id for row in await rows_among(conn, select(event.c.id), event.c.id, ids)}


async def events_by_id(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, Event]:
    """The events with these ids that the record has."""
    return {row.id: event_of(row) for row in await rows_among(conn, select(event), event.c.id, ids)}


async def add_events(conn: AsyncConnection, events: Sequence[Event], at: int) -> None:
    """Hold these events. What a direct message says is nobody's business."""
    rows = [
        {
            "id": one.id,
            "pubkey": one.pubkey,
            "created_at": one.created_at,
            "kind": one.kind,
            "tags": json.dumps(one.tags, separators=(",", ":")),
            "content": "" if one.kind == _DIRECT_MESSAGE else one.content,
            "sig": one.sig,
            "seen_at": at,
        }
        for one in events
    ]
    await add(conn, event, rows)


async def add_event_relays(
    conn: AsyncConnection, ids: Iterable[str], relay: str, at: int
) -> set[str]:
    """Note that this relay holds these events; the ids of those that we did not know it of."""
    columns = select(event_relay.c.event_id).where(event_relay.c.relay == relay)
    wanted = list(dict.fromkeys(ids))
    noted = {
        row.event_id for row in await rows_among(conn, columns, event_relay.c.event_id, wanted)
    }
    new = [one for one in wanted if one not in noted]
    rows = [{"event_id": one, "relay": relay, "seen_at": at} for one in new]
    await add(conn, event_relay, rows)
    return set(new)


async def add_announcements(conn: AsyncConnection, candidates: Sequence[Candidate]) -> None:
    """Note what these events announce."""
    rows = [
        {
            "event_id": one.event_id,
            "project_id": one.project_id,
            "pubkey": one.pubkey,
            "created_at": one.created_at,
            "founder_key": one.founder_key,
            "reason": one.reason,
        }
        for one in candidates
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
    """Note (target, author, when): the latest of one author about one target counts."""
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
    """The projects whose terms these events hold."""
    statement = select(project.c.id).where(project.c.status != "hidden")
    return {row.id for row in await rows_among(conn, statement, project.c.event_id, event_ids)}


async def profiles_of(conn: AsyncConnection, pubkeys: Iterable[str], kind: int) -> dict[str, str]:
    """The content of the profile event of this kind, without d, by author."""
    statement = select(project_profile).where(
        project_profile.c.kind == kind, project_profile.c.d == ""
    )
    rows = await rows_among(conn, statement, project_profile.c.pubkey, pubkeys)
    return {row.pubkey: row.content for row in rows}


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
            "pubkey": one.pubkey,
            "kind": one.kind,
            "d": d,
            "event_id": one.id,
            "created_at": one.created_at,
            "content": one.content,
            "tags": json.dumps(one.tags, separators=(",", ":")),
        }
        for d, one in events
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
    columns = [literal("").label(one.name) if one is event.c.content else one for one in event.c]
    statement = select(*columns).where(event.c.pubkey == pubkey, event.c.kind == kind)
    return tuple(event_of(row) for row in await conn.execute(statement))


def event_of(row: Row[Any]) -> Event:
    """The event of a row."""
    return Event(
        row.id,
        row.pubkey,
        row.created_at,
        row.kind,
        tuple(tuple(tag) for tag in json.loads(row.tags)),
        row.content,
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

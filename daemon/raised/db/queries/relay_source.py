"""What the relay source asks of the record: where it left off, and what to look for."""

from collections.abc import Iterable

from sqlalchemy import case, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.cursors import RELAY, cursor_of
from raised.db.facts.events import event_of, known_events
from raised.db.facts.marks import FIRST_READ, FIRST_SYNC_ENDED
from raised.db.schema import event, event_relay, founding, meta, project
from raised.domain.event import Event


async def known_event_ids(conn: AsyncConnection, ids: Iterable[str]) -> set[str]:
    """Those of these event ids that the record has."""
    return await known_events(conn, ids)


async def relay_cursor(conn: AsyncConnection, relay: str) -> tuple[int, int | None] | None:
    """Up to when everything of this relay is in the record, and when its last complete back-fill
    began; None before the first.
    """
    return await cursor_of(conn, RELAY, relay)


async def missing_events(conn: AsyncConnection) -> tuple[str, ...]:
    """The event ids that founding transactions name and the record lacks."""
    statement = (
        select(founding.c.event_id)
        .where(founding.c.event_id.is_not(None))
        .where(~exists().where(event.c.id == founding.c.event_id))
        .distinct()
        .order_by(founding.c.event_id)
    )
    return tuple(await conn.scalars(statement))


async def are_sources_read(conn: AsyncConnection) -> bool:
    """Whether every source has been read once."""
    marks = select(meta.c.key).where(meta.c.key.in_((FIRST_READ, FIRST_SYNC_ENDED)))
    return (await conn.scalar(marks.limit(1))) is not None


async def project_pubkeys(conn: AsyncConnection) -> tuple[str, ...]:
    """The nostr keys of all projects, by their event or by a founding transaction.

    Founded projects come first, then those seen first: anybody can announce any number with as many
    keys, and what a relay refuses to follow for length must be theirs.
    """
    by_founding = (
        select(founding.c.nostr_pubkey)
        .where(founding.c.nostr_pubkey.is_not(None))
        .order_by(founding.c.nostr_pubkey)
    )
    founded = project.c.status.in_(("confirmed", "committed", "event_missing"))
    by_event = (
        select(project.c.nostr_pubkey)
        .where(project.c.nostr_pubkey.is_not(None))
        .order_by(case((founded, 0), else_=1), project.c.first_seen_at, project.c.id)
    )
    named = [*await conn.scalars(by_founding), *await conn.scalars(by_event)]
    return tuple(dict.fromkeys(named))


async def events_not_on_relay(conn: AsyncConnection, relay: str, limit: int) -> tuple[Event, ...]:
    """Events of committed projects that no answer of this relay has held."""
    held = exists().where(event_relay.c.event_id == event.c.id, event_relay.c.relay == relay)
    statement = (
        select(event)
        .join(project, project.c.event_id == event.c.id)
        .where(project.c.status.in_(("committed", "confirmed")), ~held)
        .order_by(event.c.id)
        .limit(limit)
    )
    return tuple(event_of(row) for row in await conn.execute(statement))

"""What one project's page shows beside its item: profile, terms, and who holds its event."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.events import original_content
from raised.db.items.profile_item import Profile, profile_item
from raised.db.items.terms_item import Terms, terms_item
from raised.db.queries.summary import PROJECT_STATUSES
from raised.db.schema import event, event_relay, project, project_profile
from raised.domain.angor.terms import parse_terms
from raised.errors import InvalidInput


async def is_shown(conn: AsyncConnection, project_id: str) -> bool:
    """Whether the record has this project, and more of it than an unconfirmed founding."""
    if "\0" in project_id:
        return False
    statement = select(project.c.status).where(project.c.id == project_id)
    return await conn.scalar(statement) in PROJECT_STATUSES


async def read_holders(conn: AsyncConnection, project_id: str) -> list[str]:
    """The relays that hold the project's event."""
    statement = (
        select(event_relay.c.relay)
        .join(project, project.c.event_id == event_relay.c.event_id)
        .where(project.c.id == project_id)
        .order_by(event_relay.c.relay)
    )
    return [str(relay) for relay in await conn.scalars(statement)]


async def read_profile(conn: AsyncConnection, project_id: str) -> Profile | None:
    """What the project's key says of it; None when it said nothing. Nobody checked a word."""
    statement = (
        select(project_profile)
        .join(project, project.c.nostr_pubkey == project_profile.c.pubkey)
        .where(project.c.id == project_id)
    )
    rows = {(row.kind, row.d): row for row in await conn.execute(statement)}
    return profile_item(rows) if rows else None


async def read_terms(conn: AsyncConnection, project_id: str) -> Terms | None:
    """The terms in the project's event; None when it is missing or has none."""
    statement = (
        select(event.c.content, event.c.created_at)
        .join(project, project.c.event_id == event.c.id)
        .where(project.c.id == project_id)
    )
    row = (await conn.execute(statement)).first()
    if row is None:
        return None
    try:
        return terms_item(parse_terms(original_content(row.content), row.created_at))
    except InvalidInput:
        return None

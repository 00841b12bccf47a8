"""What one project's page shows beside its item: profile, terms, and who holds its event."""

from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.events import original_content
from raised.db.items.instant import instant
from raised.db.items.items import Item
from raised.db.queries.summary import PROJECT_STATUSES
from raised.db.schema import event, event_relay, project, project_profile
from raised.domain.angor.terms import Terms, parse_terms
from raised.errors import InvalidInput

_SPOKEN = ("name", "display_name", "about", "picture", "banner", "website", "nip05", "lud16")
# Angor's app writes the camel case, its profile tool the other (docs/angor.md 5.6).
_ALIASES = {"display_name": "displayName"}
_PARTS = {"faq": "angor:faq", "members": "angor:members", "media": "angor:media"}


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


async def read_profile(conn: AsyncConnection, project_id: str) -> Item | None:
    """What the project's key says of it; None when it said nothing. Nobody checked a word."""
    statement = (
        select(project_profile)
        .join(project, project.c.nostr_pubkey == project_profile.c.pubkey)
        .where(project.c.id == project_id)
    )
    rows = {(row.kind, row.d): row for row in await conn.execute(statement)}
    if not rows:
        return None
    spoken = rows.get((0, ""))
    fields = _json(spoken)
    profile = fields if isinstance(fields, dict) else {}
    story = rows.get((30078, "angor:project"))
    said: Item = {name: _text(profile, name) for name in _SPOKEN}
    parts: Item = {name: _json(rows.get((30078, d))) for name, d in _PARTS.items()}
    return {
        **said,
        "updated_at": instant(max(row.created_at for row in rows.values())),
        "story": None if story is None else original_content(story.content),
        **parts,
    }


def _text(profile: dict[str, Any], name: str) -> str | None:
    found = profile.get(name, profile.get(_ALIASES.get(name, "")))
    return found if isinstance(found, str) else None


def _json(row: Row[Any] | None) -> Any:
    if row is None:
        return None
    try:
        return msgspec.json.decode(original_content(row.content))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


async def read_terms(conn: AsyncConnection, project_id: str) -> Item | None:
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
        return _terms_item(parse_terms(original_content(row.content), row.created_at))
    except InvalidInput:
        return None


def _terms_item(terms: Terms) -> Item:
    return {
        "version": terms.version,
        "type": terms.type.name.lower(),
        "founder_key": terms.founder_key.hex(),
        "founder_recovery_key": terms.founder_recovery_key.hex(),
        "nostr_pubkey": terms.nostr_pubkey,
        "network_name": terms.network_name,
        "start_at": instant(terms.start_at),
        "end_at": instant(terms.end_at),
        "expiry_at": instant(terms.expiry_at),
        "penalty_days": terms.penalty_days,
        "penalty_threshold_sats": terms.penalty_threshold_sats,
        "target_sats": terms.target_sats,
        "stages": [
            {"percent": float(stage.percent), "release_at": instant(stage.release_at)}
            for stage in terms.stages
        ],
        "patterns": [
            {
                "pattern_id": pattern.pattern_id,
                "name": pattern.name,
                "frequency": None if pattern.frequency is None else pattern.frequency.name.lower(),
                "stage_count": pattern.stage_count,
                "amount_sats": pattern.amount_sats,
            }
            for pattern in terms.patterns
        ],
        "seeders": {
            "threshold": terms.seeders.threshold,
            "secret_hashes": [secret_hash.hex() for secret_hash in terms.seeders.secret_hashes],
        },
    }

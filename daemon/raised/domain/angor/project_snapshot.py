"""The stored form of a project, and the feed changes between two of them."""

import json
from dataclasses import dataclass
from typing import Final, cast

from raised.domain.angor.project_state import CONFLICT, ProjectState
from raised.domain.angor.terms import Terms
from raised.domain.change import Change, ChangeType

# An event may contain any number; a column holds 64 bits, some 32.
_BIG: Final = 1 << 63
_SMALL: Final = 1 << 31
_NAME_LENGTH: Final = 200
_ABOUT_LENGTH: Final = 20_000
_PICTURE_LENGTH: Final = 2_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A project's kind-0 profile (NIP-01); None where a field is absent."""

    name: str | None = None
    about: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectSnapshot:
    """A project as stored and served, without sums. `stages`: (percent, release_at) of Invest."""

    id: str
    status: str
    reason: str | None
    type: str | None
    version: int | None
    name: str | None
    about: str | None
    picture: str | None
    founder_key: str | None
    nostr_pubkey: str | None
    event_id: str | None
    founding_txid: str | None
    founded_height: int | None
    founded_hash: str | None
    founded_at: int | None
    created_at: int | None
    start_at: int | None
    end_at: int | None
    expiry_at: int | None
    penalty_days: int | None
    target_sats: int | None
    flags: tuple[str, ...]
    candidates: int
    stages: tuple[tuple[str, int], ...]


def parse_profile(content: str) -> Profile:
    """The profile in a kind-0 content; empty if it is no JSON object. Source: docs/angor.md 5.6."""
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return Profile()
    if not isinstance(value, dict):
        return Profile()
    fields = cast("dict[str, object]", value)
    names = (fields.get(key) for key in ("display_name", "displayName", "name"))
    found = (_text(name, _NAME_LENGTH) for name in names)
    return Profile(
        name=next((name for name in found if name), None),
        about=_text(fields.get("about"), _ABOUT_LENGTH),
        picture=_text(fields.get("picture"), _PICTURE_LENGTH),
    )


def _text(value: object, length: int) -> str | None:
    """Text that a database can hold: JSON may name a NUL, or half of a surrogate pair."""
    if not isinstance(value, str):
        return None
    clean = value.replace("\0", "").encode("utf-8", "replace").decode().strip()
    return clean[:length] or None


def project_snapshot(
    project_id: str, state: ProjectState, terms: Terms | None, profile: Profile
) -> ProjectSnapshot:
    """The stored form of this state; `terms` are those of the chosen event, if any."""
    founding, event = state.founding, state.event
    place = None if founding is None else founding.place
    founder = None if founding is None else founding.founder_key
    author = None if founding is None else founding.nostr_pubkey
    return ProjectSnapshot(
        id=project_id,
        status=state.status,
        reason=state.reason,
        type=None if terms is None else terms.type.name.lower(),
        version=None if terms is None else _within(terms.version, _SMALL),
        name=profile.name,
        about=profile.about,
        picture=profile.picture,
        founder_key=founder if terms is None else terms.founder_key.hex(),
        nostr_pubkey=author if terms is None else terms.nostr_pubkey,
        event_id=_named_event(state),
        founding_txid=None if founding is None else founding.txid,
        founded_height=None if place is None else place.height,
        founded_hash=None if place is None else place.block_hash,
        founded_at=None if place is None else place.at,
        created_at=None if event is None else event.created_at,
        start_at=None if terms is None else _within(terms.start_at, _BIG),
        end_at=None if terms is None else _within(terms.end_at, _BIG),
        expiry_at=None if terms is None else _within(terms.expiry_at, _BIG),
        penalty_days=None if terms is None else _within(terms.penalty_days, _SMALL),
        target_sats=None if terms is None else _within(terms.target_sats, _BIG),
        flags=state.flags,
        candidates=state.candidates,
        stages=_stages(terms),
    )


def _named_event(state: ProjectState) -> str | None:
    if state.event is not None:
        return state.event.event_id
    return None if state.founding is None else state.founding.event_id


def _stages(terms: Terms | None) -> tuple[tuple[str, int], ...]:
    if terms is None:
        return ()
    return tuple(
        (str(stage.percent), stage.release_at)
        for stage in terms.stages
        if _within(stage.release_at, _BIG) is not None
    )


def _within(value: int | None, limit: int) -> int | None:
    return value if value is not None and -limit <= value < limit else None


_STATUS_CHANGES: dict[str, ChangeType] = {
    "announced": "project.announced",
    "committed": "project.committed",
    "confirmed": "project.confirmed",
    "rejected": "project.rejected",
    "event_missing": "project.event_missing",
}


def project_changes(old: ProjectSnapshot | None, new: ProjectSnapshot) -> list[Change]:
    """The changes from old to new: at least one where they differ, since readers follow changes."""
    if old == new or new.status not in _STATUS_CHANGES:
        return []
    changes: list[Change] = []
    if old is None or _identity(old) != _identity(new):
        changes.append(_change(_STATUS_CHANGES[new.status], new))
    if CONFLICT in new.flags and (old is None or CONFLICT not in old.flags):
        changes.append(_change("project.conflict", new))
    if old is not None and _profile(old) != _profile(new):
        changes.append(_change("project.profile", new))
    return changes or [_change(_STATUS_CHANGES[new.status], new)]


def _identity(snapshot: ProjectSnapshot) -> tuple[object, ...]:
    return (
        snapshot.status,
        snapshot.reason,
        snapshot.event_id,
        snapshot.founding_txid,
        snapshot.founded_hash,
    )


def _profile(snapshot: ProjectSnapshot) -> tuple[object, ...]:
    return (snapshot.name, snapshot.about, snapshot.picture)


def profile_change(project_id: str) -> Change:
    """The project's profile, or the set of relays that hold its event, changed."""
    return Change("project.profile", "angor", project_id, project_id, project_id)


def _change(kind: ChangeType, snapshot: ProjectSnapshot) -> Change:
    return Change(kind, "angor", snapshot.id, snapshot.id, snapshot.id)

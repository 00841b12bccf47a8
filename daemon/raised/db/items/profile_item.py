"""A project's profile as the API shows it: what its founder publishes on Nostr, unchecked.

Source: docs/angor.md 5.6.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from raised.db.facts.events import original_content
from raised.db.items.instant import Time, instant

_PROFILE: Final = (0, "")  # kind and `d` tag
_STORY: Final = (30078, "angor:project")
_FAQ: Final = (30078, "angor:faq")
_MEMBERS: Final = (30078, "angor:members")
_MEDIA: Final = (30078, "angor:media")


class Profile(msgspec.Struct, frozen=True):
    """What the project says of itself on Nostr: nobody checked it."""

    name: str | None
    display_name: str | None
    about: str | None
    picture: str | None
    banner: str | None
    website: str | None
    nip05: str | None
    lud16: str | None
    updated_at: Time | None
    story: str | None
    faq: Any
    members: Any
    media: Any


def profile_item(rows: Mapping[tuple[int, str], Row[Any]]) -> Profile:
    """The profile of one or more events, by kind and `d` tag."""
    content = _json(rows.get(_PROFILE))
    fields = content if isinstance(content, dict) else {}
    story = rows.get(_STORY)
    return Profile(
        name=_text(fields.get("name")),
        # Angor's app writes the camel case, its profile tool the other (docs/angor.md 5.6).
        display_name=_text(fields.get("display_name", fields.get("displayName"))),
        about=_text(fields.get("about")),
        picture=_text(fields.get("picture")),
        banner=_text(fields.get("banner")),
        website=_text(fields.get("website")),
        nip05=_text(fields.get("nip05")),
        lud16=_text(fields.get("lud16")),
        updated_at=instant(max(row.created_at for row in rows.values())),
        story=None if story is None else original_content(story.content),
        faq=_json(rows.get(_FAQ)),
        members=_json(rows.get(_MEMBERS)),
        media=_json(rows.get(_MEDIA)),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _json(row: Row[Any] | None) -> Any:
    """The content of an event; None when there is none, or it is no JSON."""
    if row is None:
        return None
    try:
        return msgspec.json.decode(original_content(row.content))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None

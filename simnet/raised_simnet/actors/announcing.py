"""The Nostr events of founders: project, profile, texts, withdrawal. Source: docs/angor.md 5."""

import json
from collections.abc import Sequence
from typing import Final

from raised_simnet.actors.keys import Key
from raised_simnet.actors.nostr_event import Event, sign_event
from raised_simnet.actors.project_plan import ProjectPlan

PROFILE: Final = 0
WITHDRAWAL: Final = 5
PROJECT: Final = 3030
TEXT: Final = 30078


def project_event(author: Key, plan: ProjectPlan, created_at: int) -> Event:
    """Kind 3030: the terms."""
    return signed(author, PROJECT, created_at, plan.content(), [("d", plan.identifier)])


def profile_event(author: Key, created_at: int, name: str, about: str) -> Event:
    """Kind 0, in the app's spelling."""
    profile = {"name": name, "displayName": name, "about": about, "additionalData": {}}
    content = json.dumps(profile, separators=(",", ":"), ensure_ascii=False)
    return signed(author, PROFILE, created_at, content)


def text_event(author: Key, created_at: int, topic: str, content: str) -> Event:
    """Kind 30078: the long text (`project`), `faq`, `members` or `media`."""
    return signed(author, TEXT, created_at, content, [("d", f"angor:{topic}")])


def withdrawal_event(author: Key, created_at: int, withdrawn: Event) -> Event:
    """Kind 5: the founder takes the announcement back."""
    return signed(author, WITHDRAWAL, created_at, "", [("e", withdrawn["id"])])


def signed(
    author: Key, kind: int, created_at: int, content: str, tags: Sequence[Sequence[str]] = ()
) -> Event:
    """Any event of this author."""
    return sign_event(author.secret, kind=kind, content=content, created_at=created_at, tags=tags)

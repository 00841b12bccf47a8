"""The Nostr events of founders: project, profile, texts, withdrawal. Source: angor.md 5."""

import json
from collections.abc import Sequence
from dataclasses import replace

from raised.domain.curve import schnorr_sign
from raised.domain.event import APP_DATA, DELETION, PROFILE, PROJECT, Event, event_id
from raised_simnet.keys import Key
from raised_simnet.plan import Plan

Tag = tuple[str, ...]


def signed(
    author: Key, kind: int, created_at: int, content: str, tags: Sequence[Tag] = ()
) -> Event:
    """An event with its id and the author's signature."""
    draft = Event("", author.xonly.hex(), created_at, kind, tuple(tags), content, "")
    identifier = event_id(draft)
    signature = schnorr_sign(bytes.fromhex(identifier), author.secret)
    return replace(draft, id=identifier, sig=signature.hex())


def project_event(author: Key, plan: Plan, created_at: int) -> Event:
    """Kind 3030: the terms."""
    return signed(author, PROJECT, created_at, plan.content(), [("d", plan.identifier)])


def profile_event(author: Key, created_at: int, name: str, about: str) -> Event:
    """Kind 0, in the app's spelling."""
    profile = {"name": name, "displayName": name, "about": about, "additionalData": {}}
    return signed(author, PROFILE, created_at, _json(profile))


def text_event(author: Key, created_at: int, topic: str, content: str) -> Event:
    """Kind 30078: the long text (`project`), `faq`, `members` or `media`."""
    return signed(author, APP_DATA, created_at, content, [("d", f"angor:{topic}")])


def withdrawal_event(author: Key, created_at: int, withdrawn: Event) -> Event:
    """Kind 5: the founder takes the announcement back."""
    return signed(author, DELETION, created_at, "", [("e", withdrawn.id)])


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

"""Signed Nostr events for the actors, without the product's own event code. Source: NIP-01."""

import json
from collections.abc import Sequence
from typing import TypedDict

from raised.domain.curve import pubkey_from_secret, schnorr_sign
from raised.domain.hashes import sha256


class Event(TypedDict):
    """An event as it travels."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str
    sig: str


def xonly(secret: bytes) -> str:
    """The author's public key, 64 hex digits."""
    return pubkey_from_secret(secret)[1:].hex()


def sign_event(
    secret: bytes, *, kind: int, content: str, created_at: int, tags: Sequence[Sequence[str]] = ()
) -> Event:
    """An event with its id and signature."""
    pubkey, lists = xonly(secret), [list(tag) for tag in tags]
    event_id = sha256(compact([0, pubkey, created_at, kind, lists, content]).encode())
    return Event(
        id=event_id.hex(),
        pubkey=pubkey,
        created_at=created_at,
        kind=kind,
        tags=lists,
        content=content,
        sig=schnorr_sign(event_id, secret).hex(),
    )


def compact(value: object) -> str:
    """JSON without spaces, with all characters as they are: the form that ids are taken over."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

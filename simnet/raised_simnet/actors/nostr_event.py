"""Signed Nostr events for the actors, without the product's own event code. Source: NIP-01."""

import json
from collections.abc import Sequence
from typing import TypedDict

from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign
from raised.domain.bitcoin.hashes import sha256


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
    event = Event(
        id="",
        pubkey=xonly(secret),
        created_at=created_at,
        kind=kind,
        tags=[list(tag) for tag in tags],
        content=content,
        sig="",
    )
    event["id"] = event_id(event)
    event["sig"] = schnorr_sign(bytes.fromhex(event["id"]), secret).hex()
    return event


def event_id(event: Event) -> str:
    """The id that belongs to what the event says."""
    said = [event["pubkey"], event["created_at"], event["kind"], event["tags"], event["content"]]
    return sha256(compact([0, *said]).encode()).hex()


def compact(value: object) -> str:
    """JSON without spaces, with all characters as they are: the form that ids are taken over."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

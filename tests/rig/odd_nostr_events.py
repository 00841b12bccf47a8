"""Events that an author signed and that nostr-sdk leaves out unseen, or that no database holds."""

import json
from typing import Any, cast

from raised.domain.bitcoin.curve import schnorr_sign
from raised.domain.bitcoin.hashes import sha256
from raised_simnet.actors.nostr_event import Event, sign_event

EXPIRED = ["expiration", "1600000000"]


def expired_event(secret: bytes, kind: int = 3030, content: str = "{", at: int = 5) -> Event:
    """An event whose NIP-40 expiry has passed."""
    return sign_event(secret, kind=kind, content=content, created_at=at, tags=[EXPIRED])


def event_with_half_a_character(secret: bytes, at: int = 5) -> Event:
    """As a client in JavaScript signs half of a surrogate pair: over the escape of JSON."""
    event = cast("Any", sign_event(secret, kind=3030, content="", created_at=at))
    event["content"] = "\ud800"
    fields = [event[key] for key in ("pubkey", "created_at", "kind", "tags", "content")]
    text = json.dumps([0, *fields], separators=(",", ":"))
    event["id"] = sha256(text.encode()).hex()
    event["sig"] = schnorr_sign(bytes.fromhex(event["id"]), secret).hex()
    return cast("Event", event)


def event_beyond_all_dates(secret: bytes) -> Event:
    """Dated later than any 64-bit integer."""
    return sign_event(secret, kind=3030, content="{", created_at=1 << 70)

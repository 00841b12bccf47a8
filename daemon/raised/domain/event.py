"""Nostr events: shape, id and signature. Source: NIP-01."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from raised.domain.bitcoin.curve import schnorr_verify
from raised.domain.bitcoin.hashes import sha256
from raised.errors import InvalidInput

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_HEX128: Final = re.compile(r"[0-9a-f]{128}")
# Later times are no 64-bit integers, which databases hold.
TIME_LIMIT: Final = 1 << 63
_KEYS: Final = ("id", "pubkey", "created_at", "kind", "tags", "content", "sig")

PROFILE: Final = 0
DELETION: Final = 5
RELAY_LIST: Final = 10002
PROJECT: Final = 3030
APP_DATA: Final = 30078


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was signed. `created_at` is the author's claim, unix seconds."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: tuple[tuple[str, ...], ...]
    content: str
    sig: str

    def tag_values(self, name: str) -> tuple[str, ...]:
        """The first value of each tag with this name."""
        return tuple(tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name)


def is_storable(event: Event) -> bool:
    """Whether a database can hold its date."""
    return event.created_at < TIME_LIMIT


def is_replaceable(kind: int) -> bool:
    """Whether only the newest event of an author counts, for each `d` if there is one. NIP-01."""
    return kind in (PROFILE, 3) or 10_000 <= kind < 20_000 or 30_000 <= kind < 40_000


def event_from_json(value: object) -> Event:
    """The event in a decoded JSON object; keys that NIP-01 does not know are ignored.

    Says nothing about id and signature: see is_authentic. Raises InvalidInput.
    """
    if not isinstance(value, dict):
        raise InvalidInput("an event is an object")
    fields = cast("dict[str, object]", value)
    if missing := [key for key in _KEYS if key not in fields]:
        raise InvalidInput(f"an event without {', '.join(missing)}")
    return Event(
        id=_hex(fields["id"], _HEX64),
        pubkey=_hex(fields["pubkey"], _HEX64),
        created_at=_integer(fields["created_at"], TIME_LIMIT),
        kind=_integer(fields["kind"], 1 << 16),
        tags=_tags(fields["tags"]),
        content=_text(fields["content"]),
        sig=_hex(fields["sig"], _HEX128),
    )


def parse_event(text: str | bytes) -> Event:
    """The event in a JSON text. Raises InvalidInput."""
    try:
        return event_from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidInput("not an event in JSON") from error


def event_id(event: Event) -> str:
    """The id that these fields have: SHA-256 of their canonical JSON, hex."""
    canonical = [0, event.pubkey, event.created_at, event.kind, event.tags, event.content]
    text = json.dumps(canonical, separators=(",", ":"), ensure_ascii=False)
    try:
        return sha256(text.encode()).hex()
    except UnicodeEncodeError as error:  # a lone surrogate has no UTF-8
        raise InvalidInput("text that is not Unicode") from error


def is_authentic(event: Event) -> bool:
    """Whether the id is that of the content and the signature is the author's.

    The library's own check can be fooled (docs/nostr.md 5.2); this one is what counts.
    """
    try:
        if event_id(event) != event.id:
            return False
    except InvalidInput:
        return False
    message = bytes.fromhex(event.id)
    return schnorr_verify(bytes.fromhex(event.sig), message, bytes.fromhex(event.pubkey))


def is_signed(fields: Mapping[str, object]) -> bool:
    """Whether an author signed a JSON object that may be no event of NIP-01.

    Such as one with a date beyond all bounds, or with half of a surrogate pair, which clients
    write as the escape of JSON or as U+FFFD. Whoever passes it on made no mistake.
    """
    try:
        canonical = [0, *(fields[key] for key in _KEYS[1:-1])]
        text = json.dumps(canonical, separators=(",", ":"), ensure_ascii=False)
        texts = (text.encode(errors="backslashreplace"), _SURROGATE.sub("\ufffd", text).encode())
        id_, sig, author = (bytes.fromhex(str(fields[key])) for key in ("id", "sig", "pubkey"))
        return id_ in map(sha256, texts) and schnorr_verify(sig, id_, author)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def event_json(event: Event) -> str:
    """The event as one line of JSON, as relays send it."""
    fields = {key: getattr(event, key) for key in _KEYS}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def _hex(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidInput("not lower-case hex of the right length")
    return value


def _integer(value: object, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise InvalidInput("a number that is out of range")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput("not a text")
    return value


def _tags(value: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list):
        raise InvalidInput("tags are a list")
    tags: list[tuple[str, ...]] = []
    for tag in cast("list[object]", value):
        if not isinstance(tag, list):
            raise InvalidInput("a tag is a list")
        tags.append(tuple(_text(item) for item in cast("list[object]", tag)))
    return tuple(tags)

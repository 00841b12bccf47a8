"""What we ask of a relay, and what of its answers we take. Source: docs/angor.md 5.

A *lane* is one filter, paged on its own: the filters of one REQ share their `until`, so several
could not be paged together without holes. Profiles, deletions and messages are asked for by key:
of everybody on a public relay they would be millions.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from raised.domain.event import APP_DATA, DELETION, PROFILE, PROJECT, RELAY_LIST, Event

MESSAGE: Final = 4
FEATURED: Final = 10001
DENY: Final = 30000

HUB_ADMIN: Final = "265aca33f098438d64730078b754644d6273ac8deb31da715168abec988fb697"
DENY_LIST: Final = "angor:deny"
LEGACY_PROJECT: Final = "AngorApp"
# "" stands for no d-tag: project events of 2024-08 to 2025-05 had none.
APP_DATA_NAMES: Final = frozenset(
    {"", LEGACY_PROJECT, "angor:project", "angor:faq", "angor:members", "angor:media"}
)
KEYS_PER_FILTER: Final = 256
FILTERS_PER_REQ: Final = 8
IDS_PER_REQ: Final = 100

Filter = dict[str, object]

_OF_A_PROJECT: Final = (PROFILE, MESSAGE, DELETION, RELAY_LIST, APP_DATA)
_TAKEN: Final = frozenset({*_OF_A_PROJECT, PROJECT, FEATURED, DENY})


def public_lanes() -> tuple[Filter, ...]:
    """What does not depend on the projects we know."""
    return (
        {"kinds": [PROJECT]},
        {"kinds": [APP_DATA], "#d": [LEGACY_PROJECT]},
        {"kinds": [DENY, FEATURED], "authors": [HUB_ADMIN]},
    )


def key_lanes(keys: Sequence[str]) -> Iterator[Filter]:
    """What the projects with these nostr keys say, and what is sent to them."""
    for start in range(0, len(keys), KEYS_PER_FILTER):
        part = list(keys[start : start + KEYS_PER_FILTER])
        yield {"kinds": list(_OF_A_PROJECT), "authors": part}
        yield {"kinds": [MESSAGE], "#p": part}


def live_requests(keys: Sequence[str]) -> Iterator[tuple[Filter, ...]]:
    """The filters of each live subscription; with more keys only the last ones change."""
    yield public_lanes()
    lanes = tuple(key_lanes(keys))
    for start in range(0, len(lanes), FILTERS_PER_REQ):
        yield lanes[start : start + FILTERS_PER_REQ]


def is_wanted(event: Event) -> bool:
    """Whether an event that was not asked for by its id is one that we keep."""
    if event.kind == APP_DATA:
        return _name(event) in APP_DATA_NAMES
    if event.kind == DENY:
        return event.pubkey == HUB_ADMIN and _name(event) == DENY_LIST
    if event.kind == FEATURED:
        return event.pubkey == HUB_ADMIN
    return event.kind in _TAKEN


def envelope(event: Event) -> Event:
    """A message without what it says: subject, sender and receiver are all that we count."""
    tags = tuple(tag for tag in event.tags if tag and tag[0] in {"p", "subject", "e"})
    return Event(event.id, event.pubkey, event.created_at, event.kind, tags, "", event.sig)


def _name(event: Event) -> str:
    return next(iter(event.tag_values("d")), "")

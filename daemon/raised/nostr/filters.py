"""The filters we send to relays, and which events match them. Source: NIP-01, docs/angor.md 5.

Each filter of a back-fill is paged on its own: the filters of a REQ would share one `until`, and
pages would have holes. Profiles, deletions and messages are requested by public key, because a
public relay has millions of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from raised.domain.event import APP_DATA, DELETION, PROFILE, PROJECT, RELAY_LIST, Event

MESSAGE: Final = 4  # NIP-04 direct message
FEATURED: Final = 10001
DENY: Final = 30000

HUB_ADMIN: Final = "265aca33f098438d64730078b754644d6273ac8deb31da715168abec988fb697"
DENY_LIST: Final = "angor:deny"
LEGACY_PROJECT: Final = "AngorApp"
# "" stands for no d tag: project events of 2024-08 to 2025-05 had none.
APP_DATA_NAMES: Final = frozenset(
    {"", LEGACY_PROJECT, "angor:project", "angor:faq", "angor:members", "angor:media"}
)
# Relays limit the size of a filter and the filters of a REQ (NIP-11 `limitation`).
PUBKEYS_PER_FILTER: Final = 256
FILTERS_PER_REQ: Final = 8
IDS_PER_REQ: Final = 100
NO_UNTIL: Final = 1 << 63
# Each ended subscription took the time of an answer, so events of older ones are not on their way.
ENDED_MAX: Final = 32

Filter = dict[str, object]

_PROJECT_AUTHOR_KINDS: Final = (PROFILE, MESSAGE, DELETION, RELAY_LIST, APP_DATA)
_WANTED_KINDS: Final = frozenset({*_PROJECT_AUTHOR_KINDS, PROJECT, FEATURED, DENY})


def public_filters() -> tuple[Filter, ...]:
    """Filters that do not depend on the projects we know."""
    return (
        {"kinds": [PROJECT]},
        {"kinds": [APP_DATA], "#d": [LEGACY_PROJECT]},
        {"kinds": [DENY, FEATURED], "authors": [HUB_ADMIN]},
    )


def pubkey_filters(pubkeys: Sequence[str]) -> Iterator[Filter]:
    """Filters for events from the projects with these Nostr keys, and for messages to them."""
    for start in range(0, len(pubkeys), PUBKEYS_PER_FILTER):
        part = list(pubkeys[start : start + PUBKEYS_PER_FILTER])
        yield {"kinds": list(_PROJECT_AUTHOR_KINDS), "authors": part}
        yield {"kinds": [MESSAGE], "#p": part}


def live_filters(pubkeys: Sequence[str]) -> Iterator[tuple[Filter, ...]]:
    """The filters of each live subscription. An appended key changes only the last ones."""
    yield public_filters()
    filters = tuple(pubkey_filters(pubkeys))
    for start in range(0, len(filters), FILTERS_PER_REQ):
        yield filters[start : start + FILTERS_PER_REQ]


def is_wanted(event: Event) -> bool:
    """Whether an event that was not requested by its id is recorded."""
    if event.kind == APP_DATA:
        return _identifier(event) in APP_DATA_NAMES
    if event.kind == DENY:
        return event.pubkey == HUB_ADMIN and _identifier(event) == DENY_LIST
    if event.kind == FEATURED:
        return event.pubkey == HUB_ADMIN
    return event.kind in _WANTED_KINDS


def without_content(event: Event) -> Event:
    """A message with subject, sender and receiver alone; its content is never recorded."""
    tags = tuple(tag for tag in event.tags if tag and tag[0] in {"p", "subject", "e"})
    return Event(event.id, event.pubkey, event.created_at, event.kind, tags, "", event.sig)


def _identifier(event: Event) -> str:
    """The value of the d tag; "" without one."""
    return next(iter(event.tag_values("d")), "")


@dataclass(frozen=True, slots=True)
class FilterMatcher:
    """A filter in the form in which many events are compared with it. None: any value."""

    ids: frozenset[str] | None
    authors: frozenset[str] | None
    kinds: frozenset[int] | None
    since: int
    until: int
    tags: tuple[tuple[str, frozenset[str]], ...]

    def matches(self, event: Event) -> bool:
        """Whether the event meets every condition. `limit` is none: it is about the answer."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.ids is None or event.id in self.ids)
            and self.since <= event.created_at <= self.until
            and all(not values.isdisjoint(event.tag_values(name)) for name, values in self.tags)
        )


def filter_matcher(conditions: Filter) -> FilterMatcher:
    """The matcher of a filter of ours."""
    return FilterMatcher(
        ids=_values(conditions.get("ids")),
        authors=_values(conditions.get("authors")),
        kinds=cast("frozenset[int] | None", _values(conditions.get("kinds"))),
        since=cast("int", conditions.get("since", 0)),
        until=cast("int", conditions.get("until", NO_UNTIL)),
        tags=tuple(
            (name[1:], _values(values) or frozenset())
            for name, values in conditions.items()
            if name.startswith("#")
        ),
    )


def _values(values: object) -> frozenset[str] | None:
    return None if values is None else frozenset(cast("list[str]", values))


class RequestedFilters:
    """The filters of each subscription of a connection, by subscription id.

    nostr-sdk could check events against them (`verify_subscriptions`), but it drops silently,
    also what honest relays send: events beyond a limit before the EOSE, and events that were on
    their way when the subscription ended (docs/nostr.md 2). So filters of ended subscriptions
    are kept for a while.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[FilterMatcher, ...]] = {}
        self._ended: dict[str, tuple[FilterMatcher, ...]] = {}

    def open(self, subscription_id: str, filters: Sequence[Filter]) -> None:
        """Expect events of this subscription. Ids are not used again."""
        self._open[subscription_id] = tuple(map(filter_matcher, filters))

    def end(self, subscription_id: str) -> None:
        """Expect no new events of it. No error when it was never open."""
        if subscription_id in self._open:
            self._ended[subscription_id] = self._open.pop(subscription_id)
        while len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    def match(self, subscription_id: str, event: Event) -> bool:
        """Whether an event that came under this subscription id was requested by it."""
        matchers = self._open.get(subscription_id) or self._ended.get(subscription_id, ())
        return any(matcher.matches(event) for matcher in matchers)

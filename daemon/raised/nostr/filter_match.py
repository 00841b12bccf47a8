"""Whether what came was asked for. Source: NIP-01.

The library could check it (`verify_subscriptions`), but it drops without a word: also what came
before the EOSE beyond a limit, and what was on its way when its subscription ended. Both are what
honest relays send, and live events may be among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from raised.domain.event import Event
from raised.nostr.filters import Filter

ENDED_KEPT: Final = 32  # subscriptions; each took an answer's time, so nothing older is on its way
FOREVER: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter, ready to be compared with many events."""

    ids: frozenset[str] | None
    authors: frozenset[str] | None
    kinds: frozenset[int] | None
    since: int
    until: int
    tags: tuple[tuple[str, frozenset[str]], ...]

    def matches(self, event: Event) -> bool:
        """Whether the event fits every condition. `limit` is none: it is about the answer."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.ids is None or event.id in self.ids)
            and self.since <= event.created_at <= self.until
            and all(not values.isdisjoint(event.tag_values(name)) for name, values in self.tags)
        )


def wanted(asked: Filter) -> Wanted:
    """What this filter of ours wants."""
    return Wanted(
        ids=_set(asked.get("ids")),
        authors=_set(asked.get("authors")),
        kinds=cast("frozenset[int] | None", _set(asked.get("kinds"))),
        since=cast("int", asked.get("since", 0)),
        until=cast("int", asked.get("until", FOREVER)),
        tags=tuple(
            (name[1:], _set(values) or frozenset())
            for name, values in asked.items()
            if name.startswith("#")
        ),
    )


def _set(values: object) -> frozenset[str] | None:
    return None if values is None else frozenset(cast("list[str]", values))


class Subscriptions:
    """What was asked for on one connection, by the name of the subscription.

    A relay hears of an end only later: what fits a subscription that ended lately is as good.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[Wanted, ...]] = {}
        self._ended: dict[str, tuple[Wanted, ...]] = {}

    def begin(self, name: str, filters: Sequence[Filter]) -> None:
        """This is asked for from now on. Names are not used again."""
        self._open[name] = tuple(wanted(each) for each in filters)

    def end(self, name: str) -> None:
        """It is not any more. No error when it never was."""
        if name in self._open:
            self._ended[name] = self._open.pop(name)
        while len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def wanted(self, name: str, event: Event) -> bool:
        """Whether an event that came under this name was asked for under it."""
        filters = self._open.get(name) or self._ended.get(name, ())
        return any(each.matches(event) for each in filters)

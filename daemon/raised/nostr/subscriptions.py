"""The live subscriptions of one connection, kept standing.

They have no `since`: an event that is published now may be dated long ago. `limit` keeps relays
from sending what they hold instead; the back-fill reads that.

A CLOSED ends a subscription for good, and some relays refuse by a notice alone: so each one's
EOSE is waited for, and what does not stand is tried again, more and more rarely.
"""

import itertools
from dataclasses import dataclass
from typing import cast

from raised.errors import Refused, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.connection import Line
from raised.nostr.filters import Filter, live_requests
from raised.nostr.relay_state import Interest, Standing


@dataclass(slots=True)
class _Subscription:
    """What is asked for now, under which name, and when to try again if it does not stand."""

    filters: tuple[Filter, ...]
    backoff: Backoff
    name: str | None = None  # of the subscription that stands, perhaps with older filters
    is_new: bool = True
    missed: bool = False  # something, perhaps: for a while it did not stand as it should

    def failed(self) -> None:
        self.missed = True
        self.backoff.on_failure()


class Live:
    """Live subscriptions on one line."""

    def __init__(self, line: Line, standing: Standing) -> None:
        self._line = line
        self._of = standing
        self._interest: Interest | None = None
        self._subscriptions: list[_Subscription] = []
        self._numbers = itertools.count()
        self._answered = False

    async def keep(self) -> None:
        """Have every subscription stand that can. Raises Unavailable when the line is lost."""
        self._line.check()
        if self._interest is not self._of.interest:
            self._interest = self._of.interest
            await self._plan()
        while self._line.closed:
            self._closed(*self._line.closed.popitem())
        for subscription in self._subscriptions:
            if subscription.is_new and subscription.backoff.is_due():
                await self._hear(subscription)

    async def _plan(self) -> None:
        """Have new subscriptions where something else is asked for now."""
        wanted = list(live_requests(self._of.interest.keys))
        for spare in self._subscriptions[len(wanted) :]:
            await self._end(spare.name)
        del self._subscriptions[len(wanted) :]
        pairs = zip(self._subscriptions, wanted, strict=False)
        changed = [(old, filters) for old, filters in pairs if old.filters != filters]
        for subscription, filters in changed:
            # A key that goes from here to another subscription is for a moment in none.
            subscription.missed |= not _keys(subscription.filters) <= _keys(filters)
            subscription.filters = filters
            subscription.is_new = True
        timing = self._of.endpoint.timing
        for filters in wanted[len(self._subscriptions) :]:
            backoff = Backoff(timing.resubscribe, timing.resubscribe_max)
            self._subscriptions.append(_Subscription(filters, backoff))

    async def _hear(self, subscription: _Subscription) -> None:
        """Subscribe; the old subscription ends after that, so that nothing falls between."""
        name = f"live-{next(self._numbers)}"
        try:
            await self._line.subscribe(
                name, [{**lane, "limit": 1} for lane in subscription.filters]
            )
        except Refused as closed:
            self._of.refused(closed.code)
            subscription.failed()
            return
        except Unavailable as silent:
            if silent.code != "silent" or not self._answered:
                raise
            self._of.health.begin_problem("silent")
            subscription.failed()
            await self._end(name)
            return
        await self._end(subscription.name)
        subscription.name, subscription.is_new = name, False
        self._answered = True
        self._of.gap |= subscription.missed
        subscription.missed = False
        if not any(each.is_new for each in self._subscriptions):
            self._of.health.end_problem("closed", "auth_wanted", "auth_refused", "silent")

    async def _end(self, name: str | None) -> None:
        if name is not None:
            await self._line.unsubscribe(name)

    def _closed(self, name: str, prefix: str) -> None:
        for subscription in self._subscriptions:
            if subscription.name == name:
                self._of.refused(prefix)
                subscription.name = None
                subscription.is_new = True
                subscription.failed()


def _keys(filters: tuple[Filter, ...]) -> set[str]:
    return {key for lane in filters for key in cast("list[str]", lane.get("authors", []))}

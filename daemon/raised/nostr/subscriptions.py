"""The live subscriptions of a connection, renewed when they end or when other keys are wanted.

They have no `since`: an event that is published now may be dated long ago. `limit` keeps relays
from sending what they have stored, which the back-fill reads.

A CLOSED ends a subscription for good, and some relays refuse by a NOTICE alone. So the EOSE of
each subscription is awaited, and those without are retried with a backoff.
"""

import itertools
from dataclasses import dataclass
from typing import cast

from raised.errors import Refused, Unavailable
from raised.net.backoff import Backoff
from raised.nostr.connection import LIVE_PREFIX, RelayConnection
from raised.nostr.filters import Filter, live_filters
from raised.nostr.relay_state import RelayContext, RelayState, Wanted


@dataclass(slots=True)
class _Subscription:
    """The filters that are wanted, and the subscription on the relay, if there is one."""

    filters: tuple[Filter, ...]
    backoff: Backoff
    id: str | None = None  # of the open subscription, perhaps with older filters
    is_pending: bool = True  # to be opened with these filters
    may_have_missed: bool = False  # for a while it was not open with these filters

    def on_failure(self) -> None:
        self.may_have_missed = True
        self.backoff.on_failure()


class LiveSubscriptions:
    """Live subscriptions on a connection."""

    def __init__(
        self, connection: RelayConnection, context: RelayContext, state: RelayState
    ) -> None:
        self._connection = connection
        self._context = context
        self._state = state
        self._wanted: Wanted | None = None
        self._subscriptions: list[_Subscription] = []
        self._numbers = itertools.count()
        self._had_eose = False

    async def maintain(self) -> None:
        """Open what is wanted and not open. Raises Unavailable when the connection is lost."""
        self._connection.check()
        if self._wanted is not self._state.wanted:
            self._wanted = self._state.wanted
            await self._plan()
        while self._connection.closed:
            self._on_closed(*self._connection.closed.popitem())
        for subscription in self._subscriptions:
            if subscription.is_pending and subscription.backoff.is_due():
                await self._subscribe(subscription)

    async def _plan(self) -> None:
        """Mark subscriptions whose filters have changed, add new ones, and end spare ones."""
        wanted = list(live_filters(self._state.wanted.pubkeys))
        for spare in self._subscriptions[len(wanted) :]:
            await self._unsubscribe(spare.id)
        del self._subscriptions[len(wanted) :]
        for subscription, filters in zip(self._subscriptions, wanted, strict=False):
            if subscription.filters != filters:
                # A key that moves to another subscription is for a moment in none.
                subscription.may_have_missed |= not (
                    _authors(subscription.filters) <= _authors(filters)
                )
                subscription.filters = filters
                subscription.is_pending = True
        timing = self._context.timing
        for filters in wanted[len(self._subscriptions) :]:
            backoff = Backoff(timing.resubscribe_first, timing.resubscribe_max)
            self._subscriptions.append(_Subscription(filters, backoff))

    async def _subscribe(self, subscription: _Subscription) -> None:
        """Open a subscription, and end its predecessor after that, so that no event is missed."""
        subscription_id = f"{LIVE_PREFIX}{next(self._numbers)}"
        try:
            await self._connection.subscribe(
                subscription_id, [{**conditions, "limit": 1} for conditions in subscription.filters]
            )
        except Refused as refusal:
            self._context.note_closed(refusal.code)
            subscription.on_failure()
            return
        except Unavailable as error:
            # A relay that has never answered is lost; later, it may have refused by a NOTICE.
            if error.code != "silent" or not self._had_eose:
                raise
            self._context.health.begin_problem("silent")
            subscription.on_failure()
            await self._unsubscribe(subscription_id)
            return
        await self._unsubscribe(subscription.id)
        self._on_open(subscription, subscription_id)

    def _on_open(self, subscription: _Subscription, subscription_id: str) -> None:
        subscription.id, subscription.is_pending = subscription_id, False
        self._had_eose = True
        if subscription.may_have_missed:
            subscription.may_have_missed = False
            self._state.backfill.note_gap()
        if not any(other.is_pending for other in self._subscriptions):
            self._context.health.end_problem("closed", "auth_wanted", "auth_refused", "silent")

    async def _unsubscribe(self, subscription_id: str | None) -> None:
        if subscription_id is not None:
            await self._connection.unsubscribe(subscription_id)

    def _on_closed(self, subscription_id: str, prefix: str) -> None:
        for subscription in self._subscriptions:
            if subscription.id == subscription_id:
                self._context.note_closed(prefix)
                subscription.id = None
                subscription.is_pending = True
                subscription.on_failure()


def _authors(filters: tuple[Filter, ...]) -> set[str]:
    return {
        pubkey
        for conditions in filters
        for pubkey in cast("list[str]", conditions.get("authors", []))
    }

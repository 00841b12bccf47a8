"""The live subscriptions of one connection, kept standing.

A CLOSED ends a subscription for good, and some relays refuse by a notice alone: so each one's
EOSE is waited for, and what does not stand is tried again, more and more rarely.
"""

from dataclasses import dataclass
from typing import Final

from raised import clock
from raised.errors import Refused, Unavailable
from raised.nostr.interest import Filter, live_requests
from raised.nostr.line import Line
from raised.nostr.patience import Patience
from raised.nostr.standing import Interest, Standing

REPLAYED_SECONDS: Final = 120  # a live subscription begins so long ago


@dataclass(slots=True)
class _Subscription:
    """What it asks for now, and when to try again if it does not stand."""

    filters: tuple[Filter, ...]
    patience: Patience
    stands: bool = False


class Live:
    """Live subscriptions on one line."""

    def __init__(self, line: Line, standing: Standing) -> None:
        self._line = line
        self._of = standing
        self._interest: Interest | None = None
        self._subscriptions: dict[str, _Subscription] = {}
        self._answered = False

    async def keep(self) -> None:
        """Have every subscription stand that can. Raises Unavailable when the line is lost."""
        self._line.check()
        if self._interest is not self._of.interest:
            self._interest = self._of.interest
            await self._plan()
        for name in list(self._line.closed):
            self._fell(name, self._line.closed.pop(name))
        for name, subscription in self._subscriptions.items():
            if not subscription.stands and subscription.patience.is_due():
                await self._hear(name, subscription)

    async def _plan(self) -> None:
        """Replace what asks for something else now."""
        wanted = {
            f"live-{n}": filters for n, filters in enumerate(live_requests(self._of.interest.keys))
        }
        for name in self._subscriptions.keys() - wanted.keys():
            await self._line.unsubscribe(name)
            del self._subscriptions[name]
        pace = self._of.way.pace
        for name, filters in wanted.items():
            old = self._subscriptions.get(name)
            if old is None or old.filters != filters:
                patience = Patience(pace.resubscribe, pace.resubscribe_max)
                self._subscriptions[name] = _Subscription(filters, patience)

    async def _hear(self, name: str, subscription: _Subscription) -> None:
        since = clock.now() - REPLAYED_SECONDS
        filters = [{**each, "since": since} for each in subscription.filters]
        try:
            await self._line.subscribe(name, filters)
        except Refused as closed:
            self._fell(name, closed.code)
        except Unavailable as silent:
            if silent.code != "silent" or not self._answered:
                raise
            self._of.health.trouble("silent")
            subscription.patience.failed()
        else:
            subscription.stands = self._answered = True
            if all(each.stands for each in self._subscriptions.values()):
                self._of.health.over("closed", "auth_wanted", "auth_refused", "silent")

    def _fell(self, name: str, prefix: str) -> None:
        self._of.refused(prefix)
        if (subscription := self._subscriptions.get(name)) is not None:
            subscription.stands = False
            subscription.patience.failed()

"""What the bytes of a connection were that became no message: garbage, or left out by the library.

A relay is not to blame for events that nostr-sdk leaves out, such as those whose NIP-40 expiry has
passed: anybody can publish them. So before a relay is said to send garbage, what it answers is
read once more without the library (raw_request.py).
"""

from collections.abc import Sequence

from raised import clock
from raised.errors import Unavailable
from raised.net.backoff import Backoff
from raised.nostr.connection import RelayConnection
from raised.nostr.filters import Filter, pubkey_filters, public_filters
from raised.nostr.raw_request import request_raw
from raised.nostr.relay_state import RelayContext, RelayState

_LIMIT = 500
_FILTERS_MAX = 8  # read at each examination, every one on a connection of its own


class UnexplainedBytes:
    """Examines the unexplained bytes of a connection, with growing pauses in between."""

    def __init__(
        self, connection: RelayConnection, context: RelayContext, state: RelayState
    ) -> None:
        self._connection = connection
        self._context = context
        self._state = state
        timing = context.timing
        self._backoff = Backoff(timing.resubscribe_first, timing.resubscribe_max)

    async def examine(self) -> None:
        """If bytes became no message, find out what they were, and blame or excuse the relay."""
        if not self._backoff.is_due() or (pages := self._connection.take_unexplained()) is None:
            return
        self._backoff.on_failure()
        # What is requested by ids is read without the library anyway (fetch_by_id.py).
        filters = [each for each in pages or self._live_filters() if "ids" not in each]
        is_garbage = await self._is_garbage(filters[:_FILTERS_MAX])
        if is_garbage:
            self._context.health.blame_unexplained(clock.now())
        elif is_garbage is False:
            self._context.health.excuse_unexplained()

    def _live_filters(self) -> list[Filter]:
        filters = (*public_filters(), *pubkey_filters(self._state.wanted.pubkeys))
        return [{**conditions, "limit": _LIMIT} for conditions in filters]

    async def _is_garbage(self, filters: Sequence[Filter]) -> bool | None:
        """Whether the relay sends what nobody signed; None when it could not be read."""
        was_whole = not filters
        for conditions in filters:
            try:
                answer = await request_raw(self._context.endpoint, conditions)
            except Unavailable:  # perhaps it grants one connection only
                continue
            was_whole |= answer.is_whole
            if answer.events:
                await self._context.ingest.put_page(answer.events)
            if answer.garbage:
                return True
        return False if was_whole else None

"""The bulk connection to a relay: pages of stored events as a whole, and NIP-77.

A client without policy and notifications collects an answer inside Rust: three to four times as
fast as one callback an event, which is what the benchmark of design.md 11 asks of a back-fill
(`fetch_events`, decoded and verified, is its yardstick). It has one fault: a CLOSED looks like the
end of stored events. So no back-fill ends on its word: the page that brings nothing new is asked
once more on the line, which can tell (backfill.py). And what comes after the EOSE it drops unseen:
so it accuses nobody either; the line, which sees everything, is asked for such a page too.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec
import nostr_sdk as sdk

from raised.domain.event import Event
from raised.errors import Unavailable
from raised.nostr import sdk_client
from raised.nostr.filter_match import Wanted, wanted
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth

PAGE_MAX: Final = 200_000  # a relay that ignores `limit` must not look like an error
SLACK: Final = 200  # bytes of EOSE and AUTH; an event has more


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. `whole`: it came in time, on a connection that lasted. `clean`: nothing else came
    that we did not see; it may have been garbage, or an event after the EOSE.
    """

    events: Sequence[Event]
    whole: bool
    clean: bool = True


class Pager:
    """One connection for a back-fill."""

    def __init__(
        self, endpoint: sdk_client.RelayEndpoint, health: RelayHealth, client: sdk.Client
    ) -> None:
        self._endpoint = endpoint
        self._health = health
        self._client = client
        self._relay: sdk.Relay | None = None
        self._account = sdk_client.Account()

    async def connect(self) -> None:
        """Open the connection. Raises Unavailable."""
        self._relay = await self._endpoint.connect(self._client)

    async def page(self, asked: Filter) -> Page:
        """Stored events that match, newest first; fewer than there are when the relay so wishes.

        Raises Unavailable when there is no answer at all.
        """
        assert self._relay is not None, "connect comes first"
        target = sdk.ReqTarget.single(self._endpoint.url, [sdk_client.library_filter(asked)])
        began = asyncio.get_running_loop().time()
        self._account.settle(self._relay.stats().bytes_received())  # NIP-77's messages, say
        try:
            found = await self._client.fetch_events(
                target, timeout=timedelta(seconds=self._endpoint.timing.page), max_events=PAGE_MAX
            )
        except sdk.NostrSdkError as error:
            raise Unavailable(self._health.url, "the page was too large", "incomplete") from error
        late = asyncio.get_running_loop().time() - began > self._endpoint.timing.page - 0.5
        lasted = self._relay.status() == sdk.RelayStatus.CONNECTED
        received = self._relay.stats().bytes_received()
        events = await self._decode(found, wanted(asked))
        return Page(events, lasted and not late, clean=self._account.settle(received) <= SLACK)

    async def unseen(self, asked: Filter, held: Sequence[Event]) -> Sequence[str] | None:
        """Ids that match and are not among `held` (NIP-77); None when the relay cannot say."""
        assert self._relay is not None, "connect comes first"
        items = [
            sdk.NegentropyItem(
                id=sdk.EventId.parse(event.id), timestamp=sdk.Timestamp.from_secs(event.created_at)
            )
            for event in held
        ]
        dry = (
            sdk.SyncOptions()
            .dry_run()
            .initial_timeout(timedelta(seconds=self._endpoint.timing.compare))
        )
        try:
            summary = await self._relay.sync(
                sdk_client.library_filter(asked), items=items, opts=dry
            )
        except sdk.NostrSdkError:
            return None
        return [id_.to_hex() for id_ in summary.remote]

    async def _decode(self, found: Sequence[sdk.Event], asked: Wanted) -> Sequence[Event]:
        texts = await asyncio.to_thread(lambda: [event.as_json() for event in found])
        events: list[Event] = []
        for text in texts:
            self._account.explain(text, "0" * 32)
            try:
                event = sdk_client.decode_event(text)
            except msgspec.DecodeError as error:
                raise Unavailable(self._health.url, "no whole page", "incomplete") from error
            if asked.matches(event):
                events.append(event)
            else:
                self._account.refuse(text)
        return events


@asynccontextmanager
async def open_pager(
    endpoint: sdk_client.RelayEndpoint, health: RelayHealth
) -> AsyncIterator[Pager]:
    """A pager for as long as the block lasts. Raises Unavailable."""
    client = endpoint.client()
    try:
        pager = Pager(endpoint, health, client)
        await pager.connect()
        yield pager
    finally:
        await sdk_client.close_client(client)

"""A second connection for back-fills: stored events page by page, and NIP-77.

A client without policy collects a whole answer inside Rust (`fetch_events`), which is three to
four times as fast as a callback for each event. It has two faults (docs/nostr.md 4.3). A CLOSED
looks like an EOSE: so no back-fill ends on its word, and a page without new events is requested
again on the live connection, which can tell (backfill.py). And it drops unseen what comes after
the EOSE: so it never blames the relay for unknown bytes, and such a page is requested again, too.
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
from raised.nostr.byte_accounting import ByteAccounting
from raised.nostr.filters import Filter, FilterMatcher, filter_matcher
from raised.nostr.health import RelayHealth

PAGE_MAX: Final = 200_000  # above it the library raises; a relay that ignores `limit` must not
SLACK_BYTES: Final = 200  # for EOSE and AUTH; an event is larger
# `fetch_events` does not say that it timed out; an answer so close to the limit may have.
TIMEOUT_MARGIN_SECONDS: Final = 0.5
_SUBSCRIPTION_ID_BYTES: Final = 32  # of the ids that the library chooses


@dataclass(frozen=True, slots=True)
class Page:
    """Stored events of a filter, newest first.

    `is_whole`: it came in time, on a connection that lasted. `is_accounted`: every byte of the
    answer is explained; others were garbage, or an event after the EOSE.
    """

    events: Sequence[Event]
    is_whole: bool
    is_accounted: bool = True


class PageReader:
    """A connection that reads pages."""

    def __init__(
        self, endpoint: sdk_client.RelayEndpoint, health: RelayHealth, client: sdk.Client
    ) -> None:
        self._endpoint = endpoint
        self._health = health
        self._client = client
        self._relay: sdk.Relay | None = None
        self._accounting = ByteAccounting()

    async def connect(self) -> None:
        """Open the connection. Raises Unavailable."""
        self._relay = await self._endpoint.connect(self._client)

    async def page(self, conditions: Filter) -> Page:
        """Stored events that match; relays may give fewer than they have.

        Raises Unavailable when there is no answer at all.
        """
        assert self._relay is not None, "connect comes first"
        # Bytes before this page, of NIP-77's messages for instance, are not its own.
        self._accounting.close_period(self._relay.stats().bytes_received())
        sent_at = asyncio.get_running_loop().time()
        answer = await self._fetch(conditions)
        seconds = asyncio.get_running_loop().time() - sent_at
        was_late = seconds > self._endpoint.timing.page_timeout - TIMEOUT_MARGIN_SECONDS
        is_whole = self._relay.status() == sdk.RelayStatus.CONNECTED and not was_late
        received = self._relay.stats().bytes_received()
        events = await self._decode(answer, filter_matcher(conditions))
        unknown = self._accounting.close_period(received)
        return Page(events, is_whole, is_accounted=unknown <= SLACK_BYTES)

    async def missing_ids(
        self, conditions: Filter, events: Sequence[Event]
    ) -> Sequence[str] | None:
        """Ids on the relay that match and are not of `events` (NIP-77); None without NIP-77."""
        assert self._relay is not None, "connect comes first"
        items = [
            sdk.NegentropyItem(
                id=sdk.EventId.parse(event.id), timestamp=sdk.Timestamp.from_secs(event.created_at)
            )
            for event in events
        ]
        timeout = timedelta(seconds=self._endpoint.timing.negentropy_timeout)
        # A dry run compares and transfers no event: fetching by `sync` fails above 100 events.
        options = sdk.SyncOptions().dry_run().initial_timeout(timeout)
        try:
            summary = await self._relay.sync(
                sdk_client.library_filter(conditions), items=items, opts=options
            )
        except sdk.NostrSdkError:
            return None
        return [event_id.to_hex() for event_id in summary.remote]

    async def _fetch(self, conditions: Filter) -> Sequence[sdk.Event]:
        library_filter = sdk_client.library_filter(conditions)
        try:
            events: Sequence[sdk.Event] = await self._client.fetch_events(
                sdk.ReqTarget.single(self._endpoint.url, [library_filter]),
                timeout=timedelta(seconds=self._endpoint.timing.page_timeout),
                max_events=PAGE_MAX,
            )
        except sdk.NostrSdkError as error:
            raise Unavailable(self._health.url, "the page was too large", "incomplete") from error
        return events

    async def _decode(self, answer: Sequence[sdk.Event], matcher: FilterMatcher) -> Sequence[Event]:
        texts = await asyncio.to_thread(lambda: [event.as_json() for event in answer])
        events: list[Event] = []
        for text in texts:
            self._accounting.add_message(text, "0" * _SUBSCRIPTION_ID_BYTES)
            try:
                event = sdk_client.decode_event(text)
            except msgspec.DecodeError as error:
                raise Unavailable(self._health.url, "no whole page", "incomplete") from error
            if matcher.matches(event):
                events.append(event)
            else:
                self._accounting.add_unrequested(text)
        return events


@asynccontextmanager
async def open_page_reader(
    endpoint: sdk_client.RelayEndpoint, health: RelayHealth
) -> AsyncIterator[PageReader]:
    """A page reader, connected for as long as the block lasts. Raises Unavailable."""
    client = endpoint.client()
    try:
        reader = PageReader(endpoint, health, client)
        await reader.connect()
        yield reader
    finally:
        await sdk_client.close_client(client)

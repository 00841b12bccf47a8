"""What the relay source reads from the record; `raised.service.record_view` implements it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from raised.domain.event import Event


@dataclass(frozen=True, slots=True)
class RelayCursor:
    """When the last complete back-fill of a relay began (Unix seconds, our clock).

    `full_at`: when the last back-fill of everything began; None before the first.
    """

    value: int
    full_at: int | None


class RelayRecord(Protocol):
    """Reads only. Ids and public keys are 64 lower-case hex digits."""

    async def known_event_ids(self, ids: Collection[str]) -> set[str]:
        """Those of these event ids that are in the record."""
        ...

    async def relay_cursor(self, relay: str) -> RelayCursor | None:
        """The cursor of this relay; None when it was never read to the end."""
        ...

    async def missing_events(self) -> tuple[str, ...]:
        """Event ids that founding transactions name and the record lacks."""
        ...

    async def are_sources_read(self) -> bool:
        """Whether every source has been read once, so that the record waits for what follows."""
        ...

    async def project_pubkeys(self) -> tuple[str, ...]:
        """The Nostr keys of all projects, by an event or a founding; founded projects first.

        Anybody can announce projects by the thousand, and relays grant only so many filters.
        """
        ...

    async def events_not_on_relay(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Events of committed projects that this relay has never sent."""
        ...

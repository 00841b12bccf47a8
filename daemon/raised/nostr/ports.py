"""What the relay source must know of the record; `raised.service.record_view` is it it in."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from raised.domain.event import Event


@dataclass(frozen=True, slots=True)
class RelayCursor:
    """Where the last completed back-fill of a relay began; `full_at`: the last that took all."""

    value: int
    full_at: int | None


class RelayRecord(Protocol):
    """Reads only. Ids and keys are 64 lower-case hex."""

    async def known_event_ids(self, ids: Collection[str]) -> set[str]:
        """Those of these event ids that are in the record."""
        ...

    async def relay_cursor(self, relay: str) -> RelayCursor | None:
        """How far this relay's answers are in the record."""
        ...

    async def missing_events(self) -> tuple[str, ...]:
        """Event ids that founding transactions name and the record lacks."""
        ...

    async def project_pubkeys(self) -> tuple[str, ...]:
        """The nostr keys of all projects, by an event or a founding; founded projects first.

        Anybody can announce projects by the thousand, and relays grant only so many filters.
        """
        ...

    async def events_not_on_relay(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Events of committed projects that no answer of this relay has held."""
        ...

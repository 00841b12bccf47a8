"""What of a relay outlives a connection."""

import asyncio
from dataclasses import dataclass, field

from raised.domain.observation import Observation
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Ingest
from raised.nostr.ports import RelayCursor, RelayRecord
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelayTiming


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the record wants from relays.

    Relays grant only so many subscriptions: public keys that matter come first, and keys that keep
    their place change no subscription.
    """

    pubkeys: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()  # named by founding transactions, and not in the record
    after_first_read: bool = False  # whether every source had been read once before


@dataclass(frozen=True, slots=True)
class RelayContext:
    """The parts that belong to a relay for as long as it is followed."""

    endpoint: RelayEndpoint
    record: RelayRecord
    health: RelayHealth
    ingest: Ingest
    outbox: asyncio.Queue[Observation]

    @property
    def url(self) -> str:
        """The relay's address as configured; its name in the record."""
        return self.endpoint.settings.url

    @property
    def timing(self) -> RelayTiming:
        """The time limits of its connections."""
        return self.endpoint.timing

    def note_closed(self, prefix: str) -> None:
        """Report that the relay closed a subscription of ours."""
        self.health.begin_problem(self.code_of(prefix))

    def code_of(self, prefix: str) -> str:
        """The problem's code for a CLOSED with this prefix, or for what counts as one."""
        if prefix == "auth-required":
            has_key = self.endpoint.settings.auth_key_file is not None
            return "auth_refused" if has_key else "auth_wanted"
        return "silent" if prefix == "silent" else "closed"


@dataclass(slots=True)
class BackfillState:
    """How far a relay was read by this process. `CatchUp` alone changes it, but for requests."""

    cursor: RelayCursor | None = None
    read_pubkeys: set[str] = field(default_factory=set[str])  # those whose past was read
    is_first: bool = True  # the first attempt, a connection and a back-fill, has not ended
    full_requested: bool = False  # everything is to be read again
    has_gap: bool = False  # a live subscription was interrupted: read back what came meanwhile

    def note_gap(self) -> None:
        """Have what a live subscription may have missed read back."""
        self.has_gap = True

    def take_gap(self) -> bool:
        """Whether there was a gap; the caller closes it."""
        had_gap, self.has_gap = self.has_gap, False
        return had_gap

    def drop_cursor_ahead_of(self, now: int) -> bool:
        """Drop a cursor that is ahead of our clock; whether it was.

        Our clock was wrong then or is now, so nobody knows what was read since when.
        """
        if self.cursor is None or self.cursor.value <= now:
            return False
        self.cursor = None
        return True

    def is_full_due(self, now: int, interval: int) -> bool:
        """Whether everything is to be read, at the latest `interval` seconds after the last."""
        if self.full_requested or self.cursor is None or self.cursor.full_at is None:
            return True
        return now - self.cursor.full_at >= interval

    def advance_cursor(self, began_at: int, *, full: bool) -> None:
        """Note that a back-fill of everything since the cursor, or of all, is complete."""
        full_at = self.cursor.full_at if self.cursor else None
        self.cursor = RelayCursor(began_at, began_at if full else full_at)
        self.full_requested = self.full_requested and not full


@dataclass(slots=True)
class RelayState:
    """What is wanted of a relay, how far it was read, and what it has shown to be able to do."""

    work_available: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: Wanted = Wanted()
    backfill: BackfillState = field(default_factory=BackfillState)
    supports_nip77: bool = True  # until it turns out not to
    largest_page: int = 0  # events of its largest page: it caps there, or further up

    def set_wanted(self, wanted: Wanted) -> None:
        """Request this from the relay from now on."""
        self.wanted = wanted
        self.work_available.set()

    def request_full_backfill(self) -> None:
        """Have everything read again, compared by NIP-77 even if that failed before."""
        self.backfill.full_requested = True
        self.supports_nip77 = True
        self.work_available.set()

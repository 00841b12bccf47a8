"""What of a relay outlives a connection."""

import asyncio
from dataclasses import dataclass, field

from raised.domain.observation import Observation
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Intake
from raised.nostr.ports import RelayCursor, RelayRecord
from raised.nostr.sdk_client import RelayEndpoint


@dataclass(frozen=True, slots=True)
class Interest:
    """What the record wants to hear of. Relays grant only so many subscriptions: keys that matter
    come first, and keys that keep their place change no subscription.
    """

    keys: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class Standing:
    """A relay as we know it by now."""

    endpoint: RelayEndpoint
    record: RelayRecord
    health: RelayHealth
    intake: Intake
    outbox: asyncio.Queue[Observation]
    news: asyncio.Event = field(default_factory=asyncio.Event)
    interest: Interest = Interest()
    read: set[str] = field(default_factory=set[str])  # keys whose past this process has read
    cursor: RelayCursor | None = None
    is_first: bool = True  # no back-fill has been tried to its end by this process
    full: bool = False  # everything is to be asked for again
    gap: bool = False  # a live subscription fell: what came since must be read back
    compares: bool = True  # by NIP-77, until the relay turns out not to know it
    largest: int = 0  # the largest page it gave

    @property
    def name(self) -> str:
        return self.endpoint.settings.url

    def refused(self, prefix: str) -> None:
        """Note that the relay closed a subscription of ours."""
        code = "closed"
        if prefix == "auth-required":
            code = "auth_wanted" if self.endpoint.settings.auth_key_file is None else "auth_refused"
        self.health.begin_problem(code)

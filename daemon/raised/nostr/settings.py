"""What the relay source is told: which relays, by which way, at what pace."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from raised.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """One relay to follow. `write`: give it the project events that it lacks."""

    url: str
    write: bool = False
    auth_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A SOCKS5 proxy for the relays behind it: only .onion ones, or all."""

    socks5: str
    use: Literal["onion", "all"] = "onion"

    @property
    def address(self) -> str:
        """Host and port, as the library wants them: an address, never a name to look up."""
        parts = urlsplit(self.socks5)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        if parts.scheme not in {"socks5", "socks5h"} or host is None or parts.port is None:
            raise ConfigError("proxy.socks5: expected socks5h://<address>:<port>")
        return f"{host}:{parts.port}"


@dataclass(frozen=True, slots=True)
class RelayTiming:
    """How long to wait for what, in seconds. Tests are in a hurry, relays are not."""

    connect: float = 15.0
    answer: float = 15.0  # from a REQ to its EOSE
    page: float = 45.0
    compare: float = 5.0  # a relay that knows NIP-77 begins at once; others may say nothing
    retry: float = 5.0  # after a lost connection, doubled each time up to `retry_max`
    retry_max: float = 60.0
    resubscribe: float = 5.0  # after a CLOSED, doubled each time up to `resubscribe_max`
    resubscribe_max: float = 600.0
    poll: float = 0.25  # is the connection still there?
    settle: float = 1.0  # silence after which every byte must be accounted for
    probe: float = 60.0  # silence after which the relay is asked for a sign of life
    report: float = 10.0
    drain: float = 2.0  # what was taken is observed, when a connection ends
    wake: float = 1.0  # at most one look at what the record wants in this time
    ids: float = 600.0  # events a founding transaction names are asked for again
    overlap: int = 3600  # events dated before the cursor that came late
    full: int = 86_400  # everything is asked for again
    grudge: int = 600  # how long bad data marks a relay as degraded

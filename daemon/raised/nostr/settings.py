"""Settings of the relay source: the relays, the proxy and the time limits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from raised.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """A relay to follow. With `write` it is sent the project events that it lacks."""

    url: str
    write: bool = False
    auth_key_file: Path | None = None  # a secret key in hex, for NIP-42 only


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A SOCKS5 proxy, used for .onion relays only or for all relays."""

    socks5: str
    use: Literal["onion", "all"] = "onion"

    @property
    def address(self) -> str:
        """Host and port as nostr-sdk takes them: an IP address, never a host name."""
        parts = urlsplit(self.socks5)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        if parts.scheme not in {"socks5", "socks5h"} or host is None or parts.port is None:
            raise ConfigError("proxy.socks5: expected socks5h://<address>:<port>")
        return f"{host}:{parts.port}"


@dataclass(frozen=True, slots=True)
class RelayTiming:
    """Time limits and intervals of a relay connection, in seconds. Tests use shorter ones."""

    connect_timeout: float = 15.0
    eose_timeout: float = 15.0  # from a REQ to its EOSE; extended while data keeps coming
    page_timeout: float = 45.0  # for a whole page of the page reader
    negentropy_timeout: float = 5.0  # relays that know NIP-77 answer at once, others may not at all
    reconnect_first: float = 5.0  # after a lost connection, doubled up to `reconnect_max`
    reconnect_max: float = 60.0
    resubscribe_first: float = 5.0  # after a CLOSED, doubled up to `resubscribe_max`
    resubscribe_max: float = 600.0
    poll_interval: float = 0.25  # between two looks at the status of the connection
    byte_check_after: float = 1.0  # no bytes for so long: those received must be accounted for
    probe_after: float = 60.0  # no bytes for so long: the relay is sent a small REQ
    report_interval: float = 10.0  # between two health reports when only counters have changed
    drain_timeout: float = 2.0  # to hand over queued events when a connection ends
    wake_interval: float = 1.0  # the record is asked at most so often what is wanted
    missing_interval: float = 600.0  # between two requests for the same missing events
    cursor_overlap: int = 3600  # events dated so long before the cursor may have come late
    full_interval: int = 86_400  # between two back-fills of everything
    bad_data_cooldown: int = 600  # a relay stays degraded so long after bad data

"""The settings of one store, and how often the source does what."""

from dataclasses import dataclass, field
from pathlib import Path

from raised.domain.btcpay.invoice import BITCOIN_METHODS


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of a BTCPay Server.

    `url` keeps the server's base path and has no slash at its end. `kept_metadata`: the only
    metadata keys that are stored; `crowdfund_apps`: ids of the apps whose invoices a campaign
    counts. `bitcoin_methods`: the payment methods, in upper case, whose money counts.
    `expects_events`: a webhook secret is configured. `webhook_urls`: where our webhook may deliver,
    empty where our public address is not configured. `proxy`: address of a SOCKS proxy.
    """

    label: str
    url: str
    store_id: str
    api_key: str = field(repr=False)
    kept_metadata: frozenset[str] = frozenset()
    crowdfund_apps: tuple[str, ...] = ()
    bitcoin_methods: frozenset[str] = BITCOIN_METHODS
    expects_events: bool = False
    webhook_urls: tuple[str, ...] = ()
    ca_file: Path | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class StoreTiming:
    """Intervals and delays, in seconds. Tests set them to milliseconds."""

    # The inbox is read so often, even if no commit was announced.
    inbox_poll: float = 1.0
    # The least time between two reads of the inbox, however often the record commits.
    inbox_min_interval: float = 0.2
    # An invoice is fetched again so long after its last event: the first answer may be older
    # than the event (docs/btcpay.md 8).
    refetch_delay: float = 60.0
    # From one page of a bulk read to the next (docs/btcpay.md 9.4).
    page_interval: float = 1.0
    # From one month of a full sweep to the next, for stores too large to be read at once.
    month_interval: float = 3600.0
    # The waits after failures: doubled from the first one up to the longest.
    first_retry: float = 2.0
    longest_retry: float = 300.0
    # Before a refused API key is tried again: only an operator can change that.
    refused_retry: float = 300.0
    # Between two checks of the server's version, its clock and its webhook.
    check_interval: float = 300.0
    # Health whose figures alone have changed is reported so often at most.
    health_interval: float = 30.0

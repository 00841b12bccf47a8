"""What a store is followed with."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of a BTCPay Server.

    `url` keeps the server's base path and has no slash at its end. `kept_metadata` are the only
    metadata keys that are kept; `crowdfund_apps` those whose invoices a campaign asks for.
    `expects_events`: a webhook's secret is configured. `proxy`: a SOCKS address to go through.
    """

    label: str
    url: str
    store_id: str
    api_key: str = field(repr=False)
    kept_metadata: frozenset[str] = frozenset()
    crowdfund_apps: tuple[str, ...] = ()
    expects_events: bool = False
    ca_file: Path | None = None
    proxy: str | None = None

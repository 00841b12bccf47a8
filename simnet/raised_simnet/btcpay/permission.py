"""API keys and what they may. Source: docs/btcpay.md 2.2."""

from dataclasses import dataclass
from typing import Final

VIEW_INVOICES: Final = "btcpay.store.canviewinvoices"
VIEW_STORE: Final = "btcpay.store.canviewstoresettings"
VIEW_PULLS: Final = "btcpay.store.canviewpullpayments"
VIEW_PAYOUTS: Final = "btcpay.store.canviewpayouts"
WEBHOOKS: Final = "btcpay.store.webhooks.canmodifywebhooks"
MODIFY_STORE: Final = "btcpay.store.canmodifystoresettings"
READ: Final = (VIEW_INVOICES, VIEW_PULLS, VIEW_PAYOUTS)

_VIEWS: Final = frozenset({VIEW_INVOICES, VIEW_PULLS, VIEW_PAYOUTS, VIEW_STORE})
_CONTAINS: Final = {VIEW_STORE: _VIEWS, MODIFY_STORE: _VIEWS | {WEBHOOKS, MODIFY_STORE}}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. `permissions`: `policy` for all stores, or `policy:storeId`."""

    key: str
    label: str
    permissions: tuple[str, ...]

    def may(self, policy: str, store_id: str) -> bool:
        """Whether it may do this in this store."""
        for permission in self.permissions:
            granted, _, scope = permission.partition(":")
            if scope in {"", store_id} and policy in {granted, *_CONTAINS.get(granted, ())}:
                return True
        return False

    def as_json(self) -> dict[str, object]:
        """As the key sees itself; it shows itself."""
        return {"apiKey": self.key, "label": self.label, "permissions": list(self.permissions)}

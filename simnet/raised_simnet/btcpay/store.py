"""A store: its invoices, webhooks, refunds and settings."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from raised_simnet.btcpay.invoice import NOTHING, Invoice, Speed
from raised_simnet.btcpay.refund import Payout, PullPayment
from raised_simnet.btcpay.webhook import Webhook

_MINUTE: Final = 60
DOLLARS: Final = Decimal("64392.23")  # what a BTC costs


@dataclass(frozen=True, slots=True)
class Policy:
    """What a store's invoices get unless they say otherwise. Minutes."""

    expires_after: int = 15
    monitored_for: int = 1440
    speed: Speed = Speed.MEDIUM
    tolerance: Decimal = NOTHING
    network_fee: Decimal = NOTHING


STANDARD: Final = Policy()


@dataclass(frozen=True, slots=True)
class CrowdfundApp:
    """A crowdfund page of a store."""

    id: str
    title: str
    target: Decimal
    currency: str


@dataclass(slots=True)
class Store:
    """One store. `invoices` in the order they were made; `rates`: prices of one BTC, now."""

    id: str
    name: str
    policy: Policy = STANDARD
    rates: dict[str, Decimal] = field(default_factory=lambda: {"USD": DOLLARS})
    apps: dict[str, CrowdfundApp] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    hooks: dict[str, Webhook] = field(default_factory=dict)
    pulls: dict[str, PullPayment] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The settings that Greenfield shows."""
        policy = self.policy
        return {
            "id": self.id,
            "name": self.name,
            "website": None,
            "archived": False,
            "defaultCurrency": "USD",
            "invoiceExpiration": policy.expires_after * _MINUTE,
            "monitoringExpiration": policy.monitored_for * _MINUTE,
            "speedPolicy": str(policy.speed),
            "paymentTolerance": float(policy.tolerance),
        }

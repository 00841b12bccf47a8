"""Invoices and their payments as the server keeps them. Source: docs/btcpay.md 3.4, 4, 5."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from raised_simnet.btcpay.decimals import rounded

Metadata = dict[str, object]

ON_CHAIN: Final = "BTC-CHAIN"
LIGHTNING: Final = "BTC-LN"
LNURL: Final = "BTC-LNURL"
NOTHING: Final = Decimal(0)


class Status(StrEnum):
    """Of an invoice."""

    NEW = "New"
    PROCESSING = "Processing"
    SETTLED = "Settled"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class Exceptional(StrEnum):
    """Its additional status."""

    NONE = "None"
    PAID_LATE = "PaidLate"
    PAID_PARTIAL = "PaidPartial"
    PAID_OVER = "PaidOver"
    MARKED = "Marked"


class InvoiceState(StrEnum):
    """Of a payment."""

    PROCESSING = "Processing"
    SETTLED = "Settled"
    INVALID = "Invalid"


class Speed(StrEnum):
    """How many confirmations a payment needs."""

    HIGH = "HighSpeed"
    MEDIUM = "MediumSpeed"
    LOW_MEDIUM = "LowMediumSpeed"
    LOW = "LowSpeed"


CONFIRMATIONS: Final = {Speed.HIGH: 0, Speed.MEDIUM: 1, Speed.LOW_MEDIUM: 2, Speed.LOW: 6}


@dataclass(slots=True)
class Payment:
    """Money that reached an invoice. `id`: `txid-vout` or a payment hash. `value` is gross."""

    method: str
    id: str
    value: Decimal
    received_at: int
    destination: str
    state: InvoiceState = InvoiceState.PROCESSING
    fee: Decimal = NOTHING


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay. `rate`: the price of one `currency` in the invoice's, locked at creation.

    `script`: what the destination is on the chain. `data`: the opaque part, by 2.x.
    """

    id: str
    currency: str
    rate: Decimal
    destination: str | None
    link: str
    data: dict[str, object] | None
    script: bytes | None = None

    @property
    def activated(self) -> bool:
        """Whether the buyer has picked it already."""
        return self.data is not None


@dataclass(slots=True)
class Terms:
    """What an invoice asks for. Times are unix seconds; `tolerance` is a percentage.

    `network_fee`: what each payment on the chain after the first one has to bring more.
    """

    price: Decimal
    currency: str
    created_at: int
    expires_at: int
    monitored_until: int
    top_up: bool = False
    speed: Speed = Speed.MEDIUM
    tolerance: Decimal = NOTHING
    network_fee: Decimal = NOTHING


@dataclass(slots=True)
class Invoice:
    """One invoice. `terms.price` of a top-up is nothing until its first payment.

    `tags`: search terms beside the usual ones.
    """

    id: str
    store_id: str
    terms: Terms
    methods: tuple[Method, ...]
    metadata: Metadata = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    payments: list[Payment] = field(default_factory=list)
    status: Status = Status.NEW
    exceptional: Exceptional = Exceptional.NONE
    archived: bool = False

    @property
    def accounted(self) -> list[Payment]:
        """The payments that count."""
        return [payment for payment in self.payments if payment.state is not InvoiceState.INVALID]

    def method(self, method_id: str) -> Method:
        """The method with this id."""
        return next(method for method in self.methods if method.id == method_id)

    def payment(self, method_id: str, payment_id: str) -> Payment | None:
        """The payment with this id."""
        matches = (p for p in self.payments if (p.method, p.id) == (method_id, payment_id))
        return next(matches, None)

    @property
    def fees(self) -> Decimal:
        """What payments brought and the price is not credited with, in the invoice's currency."""
        return sum((p.fee * self.method(p.method).rate for p in self.accounted), NOTHING)

    @property
    def gross(self) -> Decimal:
        """What was paid, in the invoice's currency, not rounded."""
        return sum((self.worth(payment) for payment in self.accounted), NOTHING)

    def worth(self, payment: Payment) -> Decimal:
        """In the invoice's currency."""
        return payment.value * self.method(payment.method).rate

    @property
    def paid(self) -> Decimal:
        """Credited to the price, by the currency's digits."""
        return rounded(self.gross - self.fees, self.terms.currency)

    @property
    def settled(self) -> Decimal:
        """As `paid`, of settled payments alone."""
        final = [p for p in self.payments if p.state is InvoiceState.SETTLED]
        net = sum((self.worth(p) - p.fee * self.method(p.method).rate for p in final), NOTHING)
        return rounded(net, self.terms.currency)

    @property
    def enough(self) -> Decimal:
        """The price less the tolerance."""
        return self.terms.price * (1 - self.terms.tolerance / 100)

    @property
    def is_unset_top_up(self) -> bool:
        """A top-up that nothing was paid to in time."""
        return self.terms.top_up and not self.terms.price

    @property
    def is_monitored(self) -> bool:
        """Whether confirmations of its payments are still looked at."""
        waiting = any(p.state is InvoiceState.PROCESSING for p in self.payments)
        return waiting or self.status in {Status.NEW, Status.PROCESSING}

    @property
    def markable(self) -> list[str]:
        """What a person may mark it as."""
        by_hand = self.exceptional is Exceptional.MARKED
        match self.status:
            case Status.SETTLED:
                return [Status.INVALID] if by_hand else []
            case Status.INVALID:
                return [Status.SETTLED]
            case _:
                return [Status.SETTLED, Status.INVALID]

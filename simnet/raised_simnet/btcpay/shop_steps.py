"""What buyers and shopkeepers do in a story. What they pay on the chain are ordinary payments."""

from collections.abc import Mapping
from dataclasses import dataclass

from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order

Label = str


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """An invoice is made in a shop. Its label is how the story refers to it."""

    label: Label
    shop: str
    order: Order


@dataclass(frozen=True, slots=True)
class PayLightning:
    """An invoice is paid by Lightning, in full or in part."""

    invoice: Label
    msats: int


@dataclass(frozen=True, slots=True)
class PayOtherCoin:
    """An invoice is paid on another chain. `amount`: decimal text in that coin."""

    invoice: Label
    method: str
    amount: str


@dataclass(frozen=True, slots=True)
class MarkInvoice:
    """The shopkeeper says what an invoice is."""

    invoice: Label
    status: Status


@dataclass(frozen=True, slots=True)
class TidyInvoice:
    """The shopkeeper archives an invoice, and replaces its metadata unless that is None."""

    invoice: Label
    metadata: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class OfferMoney:
    """A pull payment: the refund of an invoice, or (None) something else.

    `name`: what the shopkeeper calls a refund instead of the usual.
    """

    label: Label
    shop: str
    invoice: Label | None
    sats: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RefuseClaim:
    """Somebody takes an offer and the shopkeeper does not agree."""

    offer: Label


ShopStep = (
    PlaceOrder | PayLightning | PayOtherCoin | MarkInvoice | TidyInvoice | OfferMoney | RefuseClaim
)

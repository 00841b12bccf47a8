"""A shop in the script: turns what buyers and its keeper want into steps."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

from raised.domain.bitcoin.tx import TxOut
from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.shop_steps import (
    Label,
    MarkInvoice,
    OfferMoney,
    PayLightning,
    PayOtherCoin,
    PlaceOrder,
    RefuseClaim,
    TidyInvoice,
)
from raised_simnet.btcpay.store import DOLLARS, STANDARD, Policy
from raised_simnet.story.steps import Buys, GivesBack, Pay
from raised_simnet.story.storyboard import Storyboard

DAY: Final = 1440  # minutes
_SATS: Final = 100_000_000


def sats_of(dollars: str) -> int:
    """What a price in dollars comes to, rounded up as the server does."""
    exact = Decimal(dollars) / DOLLARS * _SATS
    return int(exact.quantize(Decimal(1), rounding=ROUND_CEILING))


class ShopScript:
    """One shop. Each method adds a step and returns what later ones refer to."""

    def __init__(self, script: Storyboard, shop: str, policy: Policy = STANDARD) -> None:
        self.script = script
        self.shop = shop
        self._sent: dict[Label, Pay] = {}
        self._scripts: dict[Label, bytes] = {}
        script.shops[shop] = policy

    def order(self, turn: int, name: str, order: Order) -> Label:
        """Make an invoice whose order id is this name; it is paid at an address of its own."""
        label = self.script.label(f"{self.shop} {name}")
        key = self.script.key(f"{label} address")
        address = order.script or key.address_script
        metadata = {"orderId": name, **order.metadata}
        placed = replace(order, script=address, metadata=metadata)
        self._scripts[label] = address
        self.script.do(turn, PlaceOrder(label, self.shop, placed))
        return label

    def address(self, invoice: Label) -> bytes:
        """Where an invoice is paid on the chain."""
        return self._scripts[invoice]

    def pay(self, turn: int, invoices: tuple[Label, ...], sats: int, wait: int = 0) -> Label:
        """Pay the address of these invoices, which is one and the same, from a fresh coin."""
        label = self.script.label(f"{invoices[0]} paid")
        output = TxOut(sats, self._scripts[invoices[0]])
        money = self.script.coin()
        return self._send(turn, Pay(label, (output,), Buys(invoices, sats), money, wait))

    def replace(self, turn: int, paid: Label, *, pays_again: bool, wait: int = 0) -> Label:
        """Spend the same coin for a higher fee: for the same invoice, or for nothing."""
        old = self._sent[paid]
        label = self.script.label(f"{paid} replaced")
        again = replace(old, label=label, extra_fee=5000, wait=wait)
        if not pays_again:
            again = replace(again, outputs=(), meaning=None)
        return self._send(turn, again)

    def lightning(self, turn: int, invoice: Label, msats: int) -> None:
        """Pay by Lightning."""
        self.script.do(turn, PayLightning(invoice, msats))

    def other_coin(self, turn: int, invoice: Label, method: str, amount: str) -> None:
        """Pay on another chain."""
        self.script.do(turn, PayOtherCoin(invoice, method, amount))

    def mark(self, turn: int, invoice: Label, status: Status) -> None:
        """Say what it is."""
        self.script.do(turn, MarkInvoice(invoice, status))

    def tidy(self, turn: int, invoice: Label, metadata: Mapping[str, object] | None = None) -> None:
        """Archive it, and say something else about it."""
        self.script.do(turn, TidyInvoice(invoice, metadata))

    def offer(self, turn: int, invoice: Label | None, sats: int, name: str | None = None) -> Label:
        """Offer money back for an invoice, or for something else."""
        label = self.script.label(f"{invoice or self.shop} offer")
        self.script.do(turn, OfferMoney(label, self.shop, invoice, sats, name))
        return label

    def pay_out(self, turn: int, offer: Label, sats: int, wait: int = 0) -> Label:
        """Somebody claims an offer and is paid."""
        label = self.script.label(f"{offer} paid out")
        home = self.script.key(f"{label} address").address_script
        meaning = GivesBack(offer)
        pay = Pay(label, (TxOut(sats, home),), meaning, self.script.coin(), wait)
        return self._send(turn, pay)

    def refuse(self, turn: int, offer: Label) -> None:
        """Somebody claims an offer and is not paid."""
        self.script.do(turn, RefuseClaim(offer))

    def _send(self, turn: int, pay: Pay) -> Label:
        self.script.do(turn, pay)
        self._sent[pay.label] = pay
        return pay.label

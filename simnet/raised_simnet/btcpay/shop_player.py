"""Plays the shops' part of a story: steps become invoices, payments and refunds on the server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import assert_never

from raised.domain.bitcoin.tx import Tx
from raised_simnet.btcpay.invoice import Invoice
from raised_simnet.btcpay.refund import Payout, PullPayment
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import Shop
from raised_simnet.btcpay.shop_steps import (
    Label,
    MarkInvoice,
    OfferMoney,
    PayLightning,
    PayOtherCoin,
    PlaceOrder,
    RefuseClaim,
    ShopStep,
    TidyInvoice,
)

_TICK_SECONDS = 7


class StoryClock:
    """The server's clock: a story's time, a few seconds further with each step."""

    def __init__(self, now: int) -> None:
        self._now = now

    def __call__(self) -> int:
        """Unix seconds."""
        return self._now

    def tick(self) -> None:
        """Let a moment pass."""
        self._now += _TICK_SECONDS

    def reach(self, time: int) -> None:
        """Let it be this late, unless it is later."""
        self._now = max(self._now, time)


@dataclass(frozen=True, slots=True)
class OfferedRefund:
    """A pull payment, and the invoice whose refund it is."""

    pull: PullPayment
    invoice: Label | None


@dataclass(slots=True)
class Receipts:
    """What was done in the shops, as those who did it know it. On-chain money is in the book."""

    invoices: dict[Label, Invoice] = field(default_factory=dict)
    lightning: list[tuple[Label, int]] = field(default_factory=list)
    other_coins: list[tuple[Label, str, Decimal]] = field(default_factory=list)
    offers: dict[Label, OfferedRefund] = field(default_factory=dict)
    payouts: dict[Label, Payout] = field(default_factory=dict)


class ShopPlayer:
    """The shops of a story on one server. `receipts` is what was done so far."""

    def __init__(self, server: BTCPayServer, shops: Mapping[str, Shop], clock: StoryClock) -> None:
        self.receipts = Receipts()
        self._server = server
        self._office = server.office
        self._shops = shops
        self.clock = clock

    def perform(self, step: ShopStep) -> None:
        """Let one step happen."""
        receipts = self.receipts
        match step:
            case PlaceOrder(label, shop, order):
                receipts.invoices[label] = self._office.order(self._shops[shop].store, order)
            case PayLightning() | PayOtherCoin():
                self._pay(step)
            case MarkInvoice(label, status):
                self._office.mark(receipts.invoices[label].id, status)
            case TidyInvoice():
                self._tidy(step)
            case OfferMoney():
                self._offer(step)
            case RefuseClaim(label):
                self._office.refund_desk.cancel(self._claim(label))
            case _:
                assert_never(step)

    def look(self) -> None:
        """Let the server see what has happened."""
        self.clock.tick()
        self._server.look()

    def pay_out(self, offer: Label, tx: Tx) -> None:
        """This transaction pays what somebody claims of an offer."""
        payout = self._claim(offer)
        self._office.refund_desk.approve(payout)
        self._office.refund_desk.pay_out(payout, tx)
        self.receipts.payouts[offer] = payout

    def _claim(self, offer: Label) -> Payout:
        return self._office.refund_desk.claim(self.receipts.offers[offer].pull, "bcrt1qsomebody")

    def _pay(self, step: PayLightning | PayOtherCoin) -> None:
        invoice = self.receipts.invoices[step.invoice]
        if isinstance(step, PayLightning):
            paid = self._office.pay_lightning(invoice.id, step.msats)
            assert paid is not None, "the script pays in time"
            self.receipts.lightning.append((step.invoice, step.msats))
            return
        amount = Decimal(step.amount)
        self._office.pay_other_coin(invoice.id, step.method, amount)
        currency = invoice.method(step.method).currency
        self.receipts.other_coins.append((step.invoice, currency, amount))

    def _tidy(self, step: TidyInvoice) -> None:
        invoice = self.receipts.invoices[step.invoice]
        self._office.archive(invoice.id)
        if step.metadata is not None:
            self._office.edit(invoice.id, dict(step.metadata))

    def _offer(self, step: OfferMoney) -> None:
        if step.invoice is None:
            store = self._shops[step.shop].store
            pull = self._office.refund_desk.offer(store, step.name or "Wages", step.sats)
        else:
            invoice = self.receipts.invoices[step.invoice]
            pull = self._office.refund(invoice.id, step.sats, step.name)
        self.receipts.offers[step.label] = OfferedRefund(pull, step.invoice)

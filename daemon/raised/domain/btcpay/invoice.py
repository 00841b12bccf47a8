"""What BTCPay Server says of money: invoices, their payments, refunds and payouts.

Nothing is decided here: `coin_claims` decides which payment counts, `campaign` which campaign an
invoice belongs to. Source: docs/btcpay.md 3–5 and 10.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from raised.domain.bitcoin.tx import MAX_MONEY, Txid
from raised.domain.ledger import MSATS_PER_SAT
from raised.errors import InvalidInput

InvoiceStatus = Literal["New", "Processing", "Settled", "Expired", "Invalid", "Other"]
PaymentStatus = Literal["Processing", "Settled", "Invalid", "Other"]
PayoutState = Literal["AwaitingApproval", "AwaitingPayment", "InProgress", "Completed", "Cancelled"]

BITCOIN: Final = "BTC"
SATS: Final = "SATS"
CHAIN_METHOD: Final = "BTC-CHAIN"
# Only the method says that money is bitcoin: a plugin may take cash for an invoice in SATS.
BITCOIN_METHODS: Final = frozenset({CHAIN_METHOD, "BTC-LN", "BTC-LNURL"})
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")
_BITCOIN_DIGITS: Final = 11  # from bitcoin down to a millisatoshi
_SATS_DIGITS: Final = 3
_MOST_DIGITS: Final = 26  # far more money than there is, and exact in Decimal's context


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that reached an invoice.

    `method` is normalised (BTC-CHAIN, BTC-LN, BTC-LNURL, LTC-CHAIN; a plugin's as sent). `id` is
    the coin's `txid:vout` on the chain, else the payment hash, or the BOLT11 text where the node
    gave none. `value` is the decimal text as sent, gross, in `currency`; `value_msats` None for
    other coins.
    `received_at` is the server's clock; `rate` the price of one `currency` in the invoice's.
    `unknown_word`: the server's word for its status where that is Other.
    """

    method: str
    currency: str
    id: str
    value: str
    value_msats: int | None
    status: PaymentStatus
    received_at: int
    rate: str | None
    unknown_word: str | None = None

    @property
    def txid(self) -> Txid | None:
        """The transaction that paid it; None off the chain."""
        return self.id.partition(":")[0] if self.method == CHAIN_METHOD else None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as one answer shows it. Amounts are decimal texts in `currency`.

    `metadata` has only keys that the configuration names, each as text. `payments` are all that
    still count, so a stored payment that is not among them counts no more; None when the answer
    says nothing of payments. `unreadable_payments`: how many could not be read; if there are any,
    the absence of a payment says nothing. `unknown_words`: words of its state that we do not know.
    """

    id: str
    status: InvoiceStatus
    additional_status: str
    type: str
    currency: str
    amount: str
    paid_amount: str | None
    created_at: int
    expires_at: int
    monitored_until: int
    archived: bool
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    payments: tuple[Payment, ...] | None = None
    unreadable_payments: int = 0
    unknown_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullPayment:
    """An offer to take money back.

    `name` is `Refund <invoice id>` when it was made from an invoice and has kept its name, else
    None: other names are the merchant's words, which may name a person, and are not kept.
    """

    id: str
    name: str | None
    currency: str
    amount: str


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that left, once `state` is Completed. `at`: the payout's own date.

    `value_msats` None for other coins and where the amount is not settled yet.
    """

    id: str
    pull_payment_id: str | None
    state: str
    method: str
    currency: str
    amount: str | None
    value_msats: int | None
    at: int
    txid: Txid | None


def method_msats(
    method: str, text: str, currency: str, bitcoin_methods: Collection[str] = BITCOIN_METHODS
) -> int | None:
    """An amount paid by this method in millisatoshis; None when the method is not among the
    `bitcoin_methods` (upper case), or its money is in another currency.

    Raises:
        InvalidInput: as `amount_msats`; on the chain a satoshi is the least.
    """
    if method.upper() not in bitcoin_methods:
        return None
    read = chain_amount_msats if method == CHAIN_METHOD else amount_msats
    return read(text, currency)


def looks_like_bitcoin(method: str, currency: str) -> bool:
    """Whether an operator may take the money of this method for bitcoin: by its name or currency.

    It decides what is warned of, never what counts.
    """
    return currency in (BITCOIN, SATS) or re.split(r"[^A-Z0-9]", method.upper())[0] == BITCOIN


def msats(text: str) -> int:
    """Decimal text in BTC, such as `0.00100000`, as millisatoshis.

    Raises:
        InvalidInput: not such a text, or finer than a millisatoshi.
    """
    return _scaled(text, _BITCOIN_DIGITS)


def amount_msats(text: str, currency: str) -> int | None:
    """Decimal text in BTC or SATS as millisatoshis; None for other currencies.

    Raises:
        InvalidInput: as `msats`, or more than all bitcoin there can be.
    """
    digits = {BITCOIN: _BITCOIN_DIGITS, SATS: _SATS_DIGITS}.get(currency)
    if digits is None:
        return None
    amount = _scaled(text, digits)
    if abs(amount) > MAX_MONEY * MSATS_PER_SAT:
        raise InvalidInput("is more than there is")
    return amount


def chain_amount_msats(text: str, currency: str) -> int | None:
    """The same of an amount on the chain, where a satoshi is the least.

    Raises:
        InvalidInput: as `amount_msats`, or not a whole satoshi.
    """
    amount = amount_msats(text, currency)
    if amount is not None and amount % MSATS_PER_SAT:
        raise InvalidInput("is finer than a satoshi")
    return amount


def _scaled(text: str, digits: int) -> int:
    if len(text) > _MOST_DIGITS or not _DECIMAL.match(text):
        raise InvalidInput("is no amount: digits, a point, digits")
    scaled = Decimal(text).scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise InvalidInput("is finer than a millisatoshi")
    return int(scaled)

"""Parses invoices and their payments, of servers 1.x and 2.x alike.

Which keys are present decides how a row is read, not the version (docs/btcpay.md 3, 4 and 11).
"""

import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

import msgspec

from raised.btcpay.client.json_fields import (
    ParsedRows,
    amount_text,
    boolean,
    identifier,
    optional_amount_text,
    optional_timestamp,
    parse_rows,
    short_text,
    timestamp,
    unknown_word,
)
from raised.btcpay.client.payment_methods import method_currency, method_name
from raised.domain.btcpay.invoice import (
    BITCOIN_METHODS,
    CHAIN_METHOD,
    Invoice,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    method_msats,
)
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput

_INVOICE: Final[Mapping[str, InvoiceStatus]] = {
    "new": "New",
    "processing": "Processing",
    "settled": "Settled",
    "expired": "Expired",
    "invalid": "Invalid",
}
_PAYMENT: Final[Mapping[str, PaymentStatus]] = {
    "processing": "Processing",
    "settled": "Settled",
    "invalid": "Invalid",
}
# `Invalid` is 1.x's.
_ADDITIONAL: Final = frozenset({"None", "PaidLate", "PaidPartial", "Marked", "PaidOver", "Invalid"})
_LIGHTNING: Final = BITCOIN_METHODS - {CHAIN_METHOD}
_METHOD: Final = re.compile(r"([A-Za-z0-9]+)(?:[-_](.+))?")
_COIN: Final = re.compile(r"([0-9a-fA-F]{64})[-:]([0-9]{1,10})")
_WORD: Final = re.compile(r"[0-9A-Za-z]{1,4000}")  # a payment hash, or a BOLT11 text
_LAST_VOUT: Final = 0xFFFFFFFF
_LONGEST_TEXT: Final = 4_000
_encoder: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")


def parse_invoice(
    row: JsonObject,
    kept: Collection[str],
    store_id: str,
    bitcoin_methods: Collection[str] = BITCOIN_METHODS,
) -> Invoice:
    """An invoice of this store, with only the `kept` keys of its metadata.

    Payments by `bitcoin_methods` have a value in millisatoshis. They are unknown when
    `paymentMethods` is empty or absent, unless the status says that there are none that count.
    Raises InvalidInput.
    """
    if short_text(row, "storeId") not in ("", store_id):
        raise InvalidInput("belongs to another store")
    created_at = timestamp(row, "createdTime")
    expires_at = optional_timestamp(row, "expirationTime")
    expires_at = created_at if expires_at is None else expires_at
    monitored_until = optional_timestamp(row, "monitoringExpiration")
    status = short_text(row, "status")
    additional_status = short_text(row, "additionalStatus")
    payments = _listed_payments(row, status, additional_status, bitcoin_methods)
    return Invoice(
        id=identifier(row, "id"),
        status=_INVOICE.get(status.lower(), "Other"),
        additional_status=additional_status or "None",
        type=short_text(row, "type") or "Standard",
        currency=_currency(row),
        amount=amount_text(row, "amount"),
        paid_amount=optional_amount_text(row, "paidAmount"),
        created_at=created_at,
        expires_at=expires_at,
        monitored_until=expires_at if monitored_until is None else monitored_until,
        archived=boolean(row, "archived", default=False),
        metadata=kept_metadata(row.value("metadata"), kept),
        payments=None if payments is None else payments.rows,
        unreadable_payments=0 if payments is None else payments.unreadable,
        unknown_words=_unknown_words(status, additional_status),
    )


def _unknown_words(status: str, additional_status: str) -> tuple[str, ...]:
    """The words of an invoice's state that we do not know."""
    words = [] if status.lower() in _INVOICE else [status]
    words += [additional_status] if additional_status not in {"", *_ADDITIONAL} else []
    return tuple(unknown_word(word) for word in words)


def _listed_payments(
    row: JsonObject, status: str, additional_status: str, bitcoin_methods: Collection[str]
) -> ParsedRows[Payment] | None:
    methods = row.value("paymentMethods")
    if methods is not None and methods != []:
        return parse_payments(methods, bitcoin_methods)
    # New/None or Expired/None: no payment that still counts (docs/btcpay.md 5).
    if status in ("New", "Expired") and additional_status == "None":
        return ParsedRows(())
    return None


def parse_payments(
    methods: object, bitcoin_methods: Collection[str] = BITCOIN_METHODS
) -> ParsedRows[Payment]:
    """The payments of all methods of an invoice, each once. Raises InvalidInput: no list."""
    read = parse_rows(methods, partial(_method_payments, bitcoin_methods))
    unreadable = read.unreadable + sum(payments.unreadable for payments in read.rows)
    unique: dict[tuple[str, str], Payment] = {}
    contradicted: set[tuple[str, str]] = set()  # listed twice, with different values
    for payment in (payment for payments in read.rows for payment in payments.rows):
        key = (payment.method, payment.id)
        if unique.setdefault(key, payment) != payment:
            contradicted.add(key)
    rows = tuple(payment for key, payment in unique.items() if key not in contradicted)
    return ParsedRows(rows, unreadable + len(contradicted))


def _method_payments(bitcoin_methods: Collection[str], row: JsonObject) -> ParsedRows[Payment]:
    if row.value("payments") == []:
        return ParsedRows(())  # whatever it is: nothing was paid by it
    sent = short_text(row, "currency") or short_text(row, "cryptoCode")
    name = short_text(row, "paymentMethodId") or short_text(row, "paymentMethod")
    method = method_name(name, sent)
    currency = method_currency(method, sent)
    try:
        rate = optional_amount_text(row, "rate")
    except InvalidInput:
        rate = None  # no sum uses it

    read = partial(_payment, method, currency, rate, bitcoin_methods)
    return parse_rows(row.value("payments"), read)


def _payment(
    method: str,
    currency: str,
    rate: str | None,
    bitcoin_methods: Collection[str],
    row: JsonObject,
) -> Payment:
    value = amount_text(row, "value")
    if value.startswith("-"):
        raise InvalidInput("a payment is not negative")
    status = short_text(row, "status")
    if not status:
        raise InvalidInput("a payment without a status")
    return Payment(
        method=method,
        currency=currency,
        id=_payment_id(method, row.text("id")),
        value=value,
        value_msats=method_msats(method, value, currency, bitcoin_methods),
        status=_PAYMENT.get(status.lower(), "Other"),
        unknown_word=None if status.lower() in _PAYMENT else unknown_word(status),
        received_at=timestamp(row, "receivedDate"),
        rate=rate,
    )


def _payment_id(method: str, text: str) -> str:
    if method == CHAIN_METHOD:
        return coin_id(text)
    if method in _LIGHTNING:
        if not _WORD.fullmatch(text):
            raise InvalidInput("neither a payment hash nor a BOLT11 text")
        return text.lower()
    if not 0 < len(text) <= _LONGEST_TEXT or not text.isprintable():
        raise InvalidInput("no id of a payment")
    return text


def coin_id(text: str) -> str:
    """A coin on the chain as `txid:vout`, from BTCPay's `txid-vout`. Raises InvalidInput."""
    match = _COIN.fullmatch(text)
    if match is None or int(match[2]) > _LAST_VOUT:
        raise InvalidInput("no output of a transaction")
    return f"{match[1].lower()}:{int(match[2])}"


def kept_metadata(metadata: object, kept: Collection[str]) -> dict[str, str]:
    """The kept keys of an invoice's metadata as text, whatever JSON type they have.

    Metadata is free-form and partly the buyer's, so nothing in it makes the invoice unreadable.
    """
    if not isinstance(metadata, dict):
        return {}
    texts = {key: _as_text(metadata[key]) for key in kept if key in metadata}
    return {key: text for key, text in texts.items() if text is not None}


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        try:
            value = _encoder.encode(value).decode()
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
            return None
    # No database stores half a surrogate pair or the null character.
    return value[:_LONGEST_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _currency(row: JsonObject) -> str:
    code = short_text(row, "currency", 20)
    if not code:
        raise InvalidInput("currency is missing")
    return code.upper()

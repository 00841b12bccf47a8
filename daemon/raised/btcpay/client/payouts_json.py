"""Parses pull payments and payouts. Source: docs/btcpay.md 10."""

import re
from collections.abc import Collection
from typing import Final, cast

from raised.btcpay.client.json_fields import (
    amount_text,
    identifier,
    optional_amount_text,
    short_text,
    timestamp,
)
from raised.btcpay.client.payment_methods import method_currency, method_name
from raised.domain.bitcoin.tx import Txid
from raised.domain.btcpay.invoice import (
    BITCOIN_METHODS,
    CHAIN_METHOD,
    Payout,
    PullPayment,
    method_msats,
)
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput

_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")
# The server's own name for a refund. An invoice's id is 16 bytes in base58, about 22 characters;
# any other name was written by a person, and may name a payer (docs/btcpay.md 10).
_REFUND_NAME: Final = re.compile(r"Refund [1-9A-HJ-NP-Za-km-z]{18,22}")
# A proof on the chain has the first, one that was entered by hand the second; the server stores
# proofs as they were written, so their capital letters vary. Source: docs/btcpay.md 10.
_PROOF_FIELDS: Final = ("transactionid", "id")


def parse_pull_payment(row: JsonObject) -> PullPayment:
    """A pull payment, for example a refund. Raises InvalidInput."""
    return PullPayment(
        id=identifier(row, "id"),
        name=_name(row),
        currency=short_text(row, "currency", 20).upper(),
        amount=amount_text(row, "amount"),
    )


def parse_payout(row: JsonObject, bitcoin_methods: Collection[str] = BITCOIN_METHODS) -> Payout:
    """A payout; 1.x uses another key for the amount in coin. Raises InvalidInput.

    Only one by `bitcoin_methods` has a value in millisatoshis.
    """
    method = method_name(
        short_text(row, "payoutMethodId")
        or short_text(row, "paymentMethod")
        or short_text(row, "cryptoCode")
    )
    currency = method_currency(
        method, short_text(row, "payoutCurrency") or short_text(row, "cryptoCode")
    )
    paid = optional_amount_text(row, "payoutAmount") or optional_amount_text(
        row, "paymentMethodAmount"
    )
    if paid is not None and paid.startswith("-"):
        raise InvalidInput("a payout is not negative")
    return Payout(
        id=identifier(row, "id"),
        pull_payment_id=None if row.value("pullPaymentId") is None else _pull_payment_id(row),
        state=short_text(row, "state"),
        method=method,
        currency=currency,
        amount=paid,
        value_msats=(
            None if paid is None else method_msats(method, paid, currency, bitcoin_methods)
        ),
        at=timestamp(row, "date"),
        txid=_txid(row) if method == CHAIN_METHOD else None,
    )


def _pull_payment_id(row: JsonObject) -> str:
    return identifier(row, "pullPaymentId")


def _name(row: JsonObject) -> str | None:
    """Its name where that names an invoice; None for any other."""
    name = row.value("name")
    return name if isinstance(name, str) and _REFUND_NAME.fullmatch(name) else None


def _txid(row: JsonObject) -> Txid | None:
    """The transaction that paid it, if the proof names one."""
    proof = row.value("paymentProof")
    fields = cast("dict[str, object]", proof) if isinstance(proof, dict) else {}
    named = {name.lower(): value for name, value in fields.items()}
    texts = (named.get(name) for name in _PROOF_FIELDS)
    txids = (text.lower() for text in texts if isinstance(text, str) and _TXID.fullmatch(text))
    return next(txids, None)

"""Amounts as the server writes them: decimal texts. Source: docs/btcpay.md 4."""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Final

_DIGITS: Final = {"BTC": 8, "LTC": 8, "SATS": 0, "JPY": 0}
_FIAT_DIGITS: Final = 2
_COIN_STEP: Final = Decimal("0.00000001")
_SAT: Final = Decimal("0.00000001")
_MSAT: Final = Decimal("0.00000000001")


def from_sats(sats: int) -> Decimal:
    """BTC."""
    return sats * _SAT


def from_msats(msats: int) -> Decimal:
    """BTC."""
    return msats * _MSAT


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the digits that a currency has."""
    digits = _DIGITS.get(currency, _FIAT_DIGITS)
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def rounded_up(amount: Decimal) -> Decimal:
    """To eight digits: how amounts of a payment method are shown."""
    return amount.quantize(_COIN_STEP, rounding=ROUND_CEILING)


def plain(amount: Decimal) -> str:
    """Without exponent, needless zeros and the sign of nothing."""
    if not amount:
        return "0"
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(amount: Decimal, currency: str) -> str:
    """An amount in an invoice's currency: money of states keeps its zeros, nothing is `0`."""
    if not amount:
        return "0"
    exact = rounded(amount, currency)
    return plain(exact) if currency in _DIGITS else f"{exact:f}"

"""Warns of payment methods that may be bitcoin and whose money is not counted as such.

Only an operator knows what a plugin's method is. Its money is shown apart until the configuration
names the method (docs/operators.md). Source: docs/btcpay.md 4.4.
"""

import json
from collections.abc import Collection, Iterable
from typing import Final

from raised.btcpay.health import StoreHealth
from raised.domain.btcpay.invoice import (
    BITCOIN,
    SATS,
    Invoice,
    Payout,
    looks_like_bitcoin,
)

_CODE: Final = "uncounted_methods"
_MOST_NAMED: Final = 10

MethodCurrency = tuple[str, str]  # a payment method, and the currency of its money


class UncountedMethods:
    """The methods of one store that are warned of. `bitcoin_methods` in upper case."""

    def __init__(self, health: StoreHealth, bitcoin_methods: Collection[str]) -> None:
        self._health = health
        self._bitcoin_methods = bitcoin_methods
        self._known: set[MethodCurrency] = set()

    def replace(self, methods: Iterable[MethodCurrency]) -> None:
        """These are all that the record has."""
        self._known = {named for named in methods if looks_like_bitcoin(*named)}
        self._warn()

    def add_invoices(self, invoices: Iterable[Invoice]) -> None:
        """Add those of the payments of these invoices."""
        self._add(
            (payment.method, payment.currency)
            for invoice in invoices
            for payment in invoice.payments or ()
            if payment.value_msats is None and payment.status != "Invalid"
        )

    def add_payouts(self, payouts: Iterable[Payout]) -> None:
        """Add those of these payouts: a refund that is not seen as one is not taken off."""
        self._add(
            (payout.method, payout.currency)
            for payout in payouts
            if payout.value_msats is None and payout.amount and payout.state == "Completed"
        )

    def _add(self, methods: Iterable[MethodCurrency]) -> None:
        new = {named for named in methods if looks_like_bitcoin(*named)} - self._known
        if new:
            self._known |= new
            self._warn()

    def _warn(self) -> None:
        sentences = [
            sentence for named in sorted(self._known) if (sentence := self._sentence(*named))
        ]
        more = len(sentences) - _MOST_NAMED
        shown = [*sentences[:_MOST_NAMED], *([f"and {more} more such methods"] if more > 0 else [])]
        self._health.set_warning(_CODE, "; ".join(shown) or None)

    def _sentence(self, method: str, currency: str) -> str | None:
        if method.upper() not in self._bitcoin_methods:
            return (
                f"money by the payment method {method} ({currency}) is shown apart and not counted:"
                f" if it is bitcoin, set bitcoin_methods = [{json.dumps(method)}] for this store"
            )
        if currency in (BITCOIN, SATS):
            return None  # stored before the setting was made: it is read anew
        return (
            f"money by {method} is in {currency} and not counted, though bitcoin_methods names it:"
            " only amounts in BTC or SATS are"
        )

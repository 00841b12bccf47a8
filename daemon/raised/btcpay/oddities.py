"""Warns of what a store's answers say that is read, but not as the server's documentation has it.

Words for a state that we do not know, and payments dated as if the server did not run in UTC.
Source: docs/btcpay.md 4.2 and 5.
"""

from collections.abc import Callable, Iterable
from typing import Final, get_args

from raised.btcpay.client.json_fields import unknown_word
from raised.btcpay.health import StoreHealth
from raised.domain.btcpay.invoice import Invoice, Payout, PayoutState
from raised.net.source_health import problem_key

_UNKNOWN_STATUS: Final = "unknown_status"
_STATUS: Final = (
    "has the status {} on the server, which raised does not know: its money is shown apart and not"
    " counted; look whether raised is to be upgraded"
)
_TIMES: Final = "payment_times"
_OUT_OF_UTC: Final = (
    "payments are dated {}, so that some may count in the wrong hour: let the server's host run in"
    " UTC"
)
_AHEAD: Final = "ahead of our clock"
_BEHIND: Final = "before their invoices were made"
_TOLERANCE_SECONDS: Final = 60
_RECENT_SECONDS: Final = 3 * 86_400  # a host that was set right keeps the dates of old payments
_MOST_REMEMBERED: Final = 1000
_PAYOUT_STATES: Final = frozenset(get_args(PayoutState))


class Oddities:
    """What of one store is warned of now. `clock` gives Unix seconds."""

    def __init__(self, health: StoreHealth, clock: Callable[[], int]) -> None:
        self._health = health
        self._clock = clock
        self._dated: dict[str, str] = {}  # invoice id → how its payments are dated
        self._unknown: dict[str, str] = {}  # invoice or payout id → words

    def see_invoices(self, invoices: Iterable[Invoice]) -> None:
        """Look at invoices as they were answered now."""
        for invoice in invoices:
            words = [payment.unknown_word for payment in invoice.payments or ()]
            self._see_words(invoice.id, (*invoice.unknown_words, *words))
            self._note_times(invoice)
        dated = sorted(set(self._dated.values()))
        self._health.set_warning(_TIMES, _OUT_OF_UTC.format(" and ".join(dated)) if dated else None)

    def see_payouts(self, payouts: Iterable[Payout]) -> None:
        """Look at payouts as they were answered now."""
        for payout in payouts:
            known = payout.state in _PAYOUT_STATES
            self._see_words(payout.id, () if known else (unknown_word(payout.state),))

    def _see_words(self, subject: str, words: Iterable[str | None]) -> None:
        unknown = ", ".join(f'"{word}"' for word in sorted({word for word in words if word}))
        before = self._unknown.pop(subject, "")
        if unknown and len(self._unknown) < _MOST_REMEMBERED:
            self._unknown[subject] = unknown
            detail = _STATUS.format(unknown)
            self._health.begin_problem(
                _UNKNOWN_STATUS, detail, "ok", subject=subject, is_private=True
            )
        elif before:
            self._health.end_problem(problem_key(_UNKNOWN_STATUS, subject))

    def _note_times(self, invoice: Invoice) -> None:
        self._dated.pop(invoice.id, None)
        dated = self._how_dated(invoice)
        if dated is not None and len(self._dated) < _MOST_REMEMBERED:
            self._dated[invoice.id] = dated

    def _how_dated(self, invoice: Invoice) -> str | None:
        now = self._clock()
        times = [payment.received_at for payment in invoice.payments or ()]
        if any(at > now + _TOLERANCE_SECONDS for at in times):
            return _AHEAD
        earliest = invoice.created_at - _TOLERANCE_SECONDS
        recent = now - _RECENT_SECONDS
        return _BEHIND if any(recent < at < earliest for at in times) else None

"""The invoices of a store that cannot be read: set aside by id, so that the others go on.

Each has a problem in the store's health until it was read, and is tried again after pauses of its
own. While one after another fails, all tries keep a growing distance, so that many odd invoices
cost a server no more requests than a few (docs/containment.md).
"""

from collections.abc import Callable
from typing import Final

from raised.btcpay.blame import wanted_wait
from raised.btcpay.health import StoreHealth
from raised.btcpay.settings import StoreTiming
from raised.errors import BadData, SourceError
from raised.net.backoff import Backoff
from raised.net.set_aside import SetAside

_NOT_UNDERSTOOD: Final = (
    "an invoice has a form that is not understood and may be missing in the figures: look at it in"
    " the server, and whether raised or the server is to be upgraded"
)
_NOT_READ: Final = (
    "an invoice cannot be read and may be missing in the figures: the server {}; look at it there"
)
_NO_PAYMENTS: Final = (
    "the payments of an invoice cannot be read and may be missing in the figures: the server {};"
    " look at it there"
)
_BAD_ROWS: Final = "bad_rows"


def _nothing() -> None:
    """Nobody waits for a change yet."""


class InvoicesSetAside:
    """The invoices of one store that are set aside."""

    def __init__(self, health: StoreHealth, timing: StoreTiming) -> None:
        self._health = health
        first, longest = timing.first_retry, timing.longest_retry
        self._items = SetAside(health.tracker, first, longest, is_private=True)
        self._pace = Backoff(first, longest)
        self.on_change: Callable[[], None] = _nothing  # called when one is set aside or was read

    def __contains__(self, invoice_id: object) -> bool:
        """Whether this invoice is set aside, due again or not."""
        return invoice_id in self._items

    def on_failure(self, invoice_id: str, error: SourceError) -> None:
        """This invoice could not be fetched, though the server answers other questions."""
        if isinstance(error, BadData) and error.code != "too_long":
            self.on_unreadable(invoice_id, is_try=True)
        else:
            detail = _NOT_READ.format(error.detail)
            self._put(invoice_id, error.code, detail, is_try=True, at_least=wanted_wait(error))

    def on_payments_failure(self, invoice_id: str, error: SourceError, *, is_try: bool) -> None:
        """The payments of this invoice could not be asked for.

        `is_try`: it was asked for by itself. A list that meets it again does not delay that.
        """
        detail, wait = _NO_PAYMENTS.format(error.detail), wanted_wait(error)
        self._put(invoice_id, error.code, detail, is_try=is_try, at_least=wait)

    def on_unreadable(self, invoice_id: str, *, is_try: bool) -> None:
        """This invoice, or a payment of it, was answered in a form that is not understood."""
        self._put(invoice_id, _BAD_ROWS, _NOT_UNDERSTOOD, is_try=is_try)

    def _put(
        self, invoice_id: str, code: str, detail: str, *, is_try: bool, at_least: float = 0
    ) -> None:
        if invoice_id in self._items:
            if not is_try:
                return
            self._pace.on_failure()
        self._items.on_failure(invoice_id, code, detail, at_least)
        self._report()

    def on_success(self, invoice_id: str) -> None:
        """This invoice was read whole, or is gone."""
        if self._items.on_success(invoice_id):
            self._pace.on_success()
            self._report()

    def _report(self) -> None:
        self._health.set_aside_count = len(self._items)
        self._health.changed.set()
        self.on_change()

    def is_due(self, invoice_id: str) -> bool:
        """Whether this invoice may be asked for now."""
        return self._items.is_due(invoice_id)

    def due_at(self, invoice_id: str) -> float:
        """When this invoice may be asked for again, by the event loop's clock."""
        return self._items.due_at(invoice_id)

    def due(self) -> list[str]:
        """The invoice to try again now, if any; the longest waiting one."""
        return self._items.due()[:1] if self._pace.is_due() else []

    @property
    def next_due_at(self) -> float | None:
        """When the next one is to be tried again, by the event loop's clock."""
        next_due_at = self._items.next_due_at
        return None if next_due_at is None else max(next_due_at, self._pace.due_at)

"""Asks for the payments of invoices that a server lists without them, and says where that fails.

The payments of one invoice that cannot be had cost that invoice alone. Only several in a row, and
none in between that can, say that the server is to blame (docs/containment.md).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Protocol

from raised.btcpay.client.http import IN_FLIGHT
from raised.btcpay.client.json_fields import ParsedRows
from raised.domain.btcpay.invoice import Invoice, Payment
from raised.errors import BadData, SourceError, Unavailable

_MOST_IN_A_ROW: Final = 3  # failures of invoices one after another


class AskPayments(Protocol):
    """How the payments of an invoice are asked for. Raises SourceError."""

    def __call__(
        self, invoice_id: str, *, accounted_only: bool
    ) -> Awaitable[ParsedRows[Payment]]: ...


@dataclass(frozen=True, slots=True)
class FilledInvoices:
    """Invoices with their payments; `failed`: why those of an invoice could not be asked for."""

    invoices: tuple[Invoice, ...]
    failed: dict[str, SourceError]


@dataclass(slots=True)
class _Progress:
    """What has been asked so far. `in_a_row`: failures since the last answer."""

    rows: list[Invoice]
    missing: deque[int]
    failed: dict[str, SourceError] = field(default_factory=dict[str, SourceError])
    in_a_row: int = 0
    answered: int = 0


class PaymentsOfInvoices:
    """Asks for the payments of the invoices that lack them and are due, two at a time."""

    def __init__(self, ask: AskPayments, is_due: Callable[[str], bool] | None = None) -> None:
        self._ask = ask
        self._is_due = is_due

    async def fill(self, invoices: Iterable[Invoice]) -> FilledInvoices:
        """The invoices with their payments. Raises SourceError when no answer can be had."""
        rows = list(invoices)
        missing = [
            index
            for index, row in enumerate(rows)
            if row.payments is None and (self._is_due is None or self._is_due(row.id))
        ]
        progress = _Progress(rows, deque(missing))
        failure: SourceError | None = None  # raised outside the group, as a plain error
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(IN_FLIGHT, len(missing))):
                    group.create_task(self._fill(progress))
        except* SourceError as errors:
            failure = _first(errors)
        failure = failure or _of_all(progress)
        if failure is not None:
            raise failure
        return FilledInvoices(tuple(rows), progress.failed)

    async def _fill(self, progress: _Progress) -> None:
        while progress.missing:
            index = progress.missing.popleft()
            invoice = progress.rows[index]
            try:
                progress.rows[index] = await self._with_payments(invoice)
            except SourceError as error:
                _note(progress, invoice.id, error)
            else:
                progress.in_a_row = 0
                progress.answered += 1

    async def _with_payments(self, invoice: Invoice) -> Invoice:
        try:
            read = await self._ask(invoice.id, accounted_only=True)
        except BadData:
            return replace(invoice, unreadable_payments=1)
        if not read.rows and not read.unreadable and _says_paid(invoice):
            return replace(invoice, unreadable_payments=1)
        return replace(invoice, payments=read.rows, unreadable_payments=read.unreadable)


def _note(progress: _Progress, invoice_id: str, error: SourceError) -> None:
    progress.failed[invoice_id] = error
    if _may_be_servers(error):
        progress.in_a_row += 1
        if progress.in_a_row >= _MOST_IN_A_ROW:
            raise error


def _of_all(progress: _Progress) -> SourceError | None:
    """The error, when every single answer is missing for what may be the server's fault."""
    if progress.answered:
        return None
    errors = [error for error in progress.failed.values() if _may_be_servers(error)]
    return errors[0] if errors and len(errors) == len(progress.failed) else None


def _may_be_servers(error: SourceError) -> bool:
    return isinstance(error, Unavailable) or error.code == "unauthenticated"


def _says_paid(invoice: Invoice) -> bool:
    """Whether its own figures say that there is a payment: a list without any says nothing then."""
    return invoice.status == "Processing" or Decimal(invoice.paid_amount or 0) > 0


def _first(errors: BaseExceptionGroup[SourceError]) -> SourceError:
    first = errors.exceptions[0]
    return first if isinstance(first, SourceError) else _first(first)

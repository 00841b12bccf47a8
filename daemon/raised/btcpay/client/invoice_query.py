"""A page of invoices: its query and its answer. Source: docs/btcpay.md 3.2 and 3.3."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raised.domain.btcpay.invoice import Invoice
from raised.errors import SourceError


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Invoices created from `start` to `end`, Unix seconds, both inclusive, newest first.

    `text` is the beginning of a search term. The server sets no maximum for `take`.
    """

    statuses: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    skip: int = 0
    take: int = 50
    text: str | None = None

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query parameters; archived invoices are always included."""
        bounds = (("startDate", self.start), ("endDate", self.end))
        return (
            *(("status", status.lower()) for status in self.statuses),
            *((name, str(value)) for name, value in bounds if value is not None),
            *((("textSearch", self.text),) if self.text is not None else ()),
            ("includeArchived", "true"),
            ("skip", str(self.skip)),
            ("take", str(self.take)),
        )

    def after(self, oldest_at: int | None) -> "InvoicePage":
        """The page after this one, whose earliest invoice was created at `oldest_at`.

        By time, so that rows which come and go meanwhile hide no others, and overlapping by a
        second, because old rows hold fractions of one. `skip` is used within one second only.
        """
        if oldest_at is None or (self.end is not None and oldest_at + 1 >= self.end):
            return replace(self, skip=self.skip + self.take)
        return replace(self, end=oldest_at + 1, skip=0)


@dataclass(frozen=True, slots=True)
class InvoiceAnswer:
    """The answer to a page, each invoice once. `asked_at`: when its first request was sent.

    `raw_count`: its rows; fewer than `take` means that it was the last page. `oldest_at` and
    `newest_at`: the earliest and latest creation time among them. `bad`: by code, how many rows
    could not be read (`bad_invoice`) and how many invoices have unreadable payments
    (`bad_payment`). `unreadable_ids`: the ids of the former, where they have one. `failed`: why the
    payments of an invoice, by its id, could not be asked for.
    """

    invoices: tuple[Invoice, ...]
    asked_at: int
    raw_count: int
    oldest_at: int | None
    bad: Mapping[str, int] = field(default_factory=dict[str, int])
    newest_at: int | None = None
    unreadable_ids: tuple[str, ...] = ()
    failed: Mapping[str, SourceError] = field(default_factory=dict[str, SourceError])

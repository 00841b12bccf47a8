"""Pages of invoices: what to ask for, what came, and where to go on (btcpay.md 3.2, 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raised.domain.btcpay.invoice import Invoice


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Invoices made from `start` to `end`, both inclusive, newest first.

    `text` finds by the beginning of a search term. The server knows no most for `take`.
    """

    statuses: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    skip: int = 0
    take: int = 50
    text: str | None = None

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """It as parameters; archived invoices are always asked for."""
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
        """The page after this one, whose earliest invoice was made at `oldest_at`.

        By time, so that rows which come and go meanwhile hide none; it overlaps by a second, for
        old rows hold fractions of one. Only within one second it counts rows.
        """
        if oldest_at is None or (self.end is not None and oldest_at + 1 >= self.end):
            return replace(self, skip=self.skip + self.take)
        return replace(self, end=oldest_at + 1, skip=0)


@dataclass(frozen=True, slots=True)
class InvoiceAnswer:
    """A page of invoices, each once. `asked_at`: when the first request behind it was sent.

    `raw_count`: the rows it had; fewer than asked for, it was the last page. `oldest_at`: the
    earliest creation among them. `bad`: by code, how many rows (`bad_invoice`) were left out and
    how many invoices have payments that could not be read (`bad_payment`).
    """

    invoices: tuple[Invoice, ...]
    asked_at: int
    raw_count: int
    oldest_at: int | None
    bad: Mapping[str, int] = field(default_factory=dict[str, int])

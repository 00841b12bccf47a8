"""What the BTCPay source reads from the record. `RecordView` implements it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A webhook delivery of the inbox without a result yet; `id` is its row.

    `received_at`: Unix seconds by our clock.
    """

    id: int
    type: str
    invoice_id: str | None
    pull_payment_id: str | None
    received_at: int


@dataclass(frozen=True, slots=True)
class SweepCheckpoint:
    """How far an interrupted full sweep came, in Unix seconds.

    It began at `began_at` and has seen every invoice that was created at `end` or later.
    """

    began_at: int
    end: int


class StoreRecord(Protocol):
    """Reads only; each answer is one consistent view."""

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        """Deliveries without a result, oldest first."""

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        """Ids of invoices stored as New or Processing, without those missing upstream."""

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        """Ids that expired after `since`, and those with a payment still Processing."""

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        """(method, payment id) of the stored payments of these invoices that are not Invalid."""

    async def uncounted_methods(self, store: str) -> frozenset[tuple[str, str]]:
        """(method, currency) of the stored payments and completed payouts without a value in
        millisatoshis; invalid payments left out.
        """

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        """The full sweep to resume."""

    async def swept_at(self, store: str) -> int | None:
        """When the last complete full sweep began; None before the first."""

    async def invoice_count(self, store: str) -> int:
        """How many invoices are stored."""

    async def refresh_requested_at(self) -> int | None:
        """When an immediate refresh was last requested."""

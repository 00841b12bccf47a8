"""What following a store needs to know of the record. `RecordView` implements it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery of the inbox that was not acted on yet; `id` is its row."""

    id: int
    type: str
    invoice_id: str | None
    pull_payment_id: str | None
    received_at: int


@dataclass(frozen=True, slots=True)
class SweepCheckpoint:
    """A full sweep that was interrupted: it has seen everything created from `end` on."""

    began_at: int
    end: int


class StoreRecord(Protocol):
    """Reads only; each answer is one consistent view."""

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        """Deliveries not acted on, oldest first."""

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        """Ids held as New or Processing, those missing upstream left out."""

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        """Ids that expired after `since`, and those with a payment still Processing."""

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        """(method, payment id) of what these invoices were paid with and is not Invalid."""

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        """The full sweep to go on with."""

    async def swept_at(self, store: str) -> int | None:
        """When the last complete full sweep began; None before the first."""

    async def invoice_count(self, store: str) -> int:
        """How many invoices are held."""

    async def refresh_requested_at(self) -> int | None:
        """When somebody last asked for an immediate pull."""

"""A full sweep: every invoice of a store, from the newest to the oldest. Source: btcpay.md 12.4."""

from dataclasses import dataclass
from typing import Final, Self

from raised.btcpay.client.invoice_query import InvoiceAnswer
from raised.btcpay.paginator import InvoicePaginator
from raised.btcpay.publisher import StoreContext

LARGE_STORE: Final = 20_000  # invoices; beyond it a full sweep takes a month at a time
_MONTH: Final = 31 * 86_400


@dataclass(slots=True)
class FullSweepState:
    """How far it is. `is_first`: none has ended before. `rest_at`: what is older can wait."""

    began_at: int
    walk: InvoicePaginator
    is_first: bool
    done: int
    unread: int = 0
    rest_at: int | None = None

    @classmethod
    async def begin(cls, follower: StoreContext, *, fresh: bool) -> Self:
        """The one that was interrupted, or a new one; always a new one if `fresh`."""
        label, record = follower.label, follower.record
        is_first = not fresh and await record.swept_at(label) is None
        begun = None if fresh else await record.interrupted_sweep(label)
        held = await record.invoice_count(label)
        began_at = follower.clock() if begun is None else begun.began_at
        newest = began_at if begun is None else begun.end
        return cls(
            began_at=began_at,
            walk=InvoicePaginator(follower.server, end=None if begun is None else begun.end),
            is_first=is_first,
            done=held if is_first else 0,
            rest_at=newest - _MONTH if held > LARGE_STORE and not is_first else None,
        )

    def read(self, answer: InvoiceAnswer) -> None:
        """Count a page."""
        self.done += len(answer.invoices)
        self.unread += sum(answer.bad.values())

    def takes_a_rest(self) -> bool:
        """Whether a month of a large store has been read since it last took one."""
        end = self.walk.end
        if self.rest_at is None or end is None or end > self.rest_at:
            return False
        self.rest_at = end - _MONTH
        return True

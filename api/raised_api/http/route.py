"""A route: its address, what may be asked, and what answers from one view of the record."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.items import instant
from raised.db.queries.as_of import AsOf
from raised_api.http.auth import READ
from raised_api.http.parameters import Parameter
from raised_api.totals.hourly_totals import HourlyTotals

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One question, with the transaction to answer it in.

    `sees_invoices`: rows that make payers traceable are for the asker.
    """

    conn: AsyncConnection
    as_of: AsOf
    now: int
    path: Mapping[str, str]
    query: Mapping[str, Any]
    hours: HourlyTotals
    sees_invoices: bool = False

    @property
    def minute(self) -> int:
        """The clock cut to the minute: answers know no finer time, so that they can be kept."""
        return self.now // 60 * 60

    def as_of_block(self) -> dict[str, object]:
        """The `as_of` block."""
        return {
            "at": instant(self.minute),
            "height": self.as_of.height,
            "hash": self.as_of.hash,
            "seq": self.as_of.seq,
            "stale": self.as_of.is_stale(self.now),
            "sources": {
                "relays": self.as_of.relays,
                "chain": self.as_of.chain,
                "btcpay": self.as_of.btcpay,
            },
        }


@dataclass(frozen=True, slots=True)
class Route:
    """A GET for those with the scope.

    `kept`: the answer depends on the newest change, the minute, staleness and whether the asker
    sees invoices, alone.
    """

    path: str
    name: str
    about: str
    answer: Callable[[RequestContext], Awaitable[object]]
    shape: object
    parameters: tuple[Parameter, ...] = ()
    kept: bool = True
    scope: str = READ

"""Reads the record for requests: a transaction each, so that a response shows one moment."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from litestar.types import HTTPScope
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import reading
from raised.db.queries.as_of import read_as_of
from raised_api.http.auth import access_of
from raised_api.http.response_cache import RecordVersion, set_version
from raised_api.http.route import RequestContext
from raised_api.totals.hourly_totals import HourlyTotals


class RecordReader:
    """Opens transactions and keeps the hourly totals that they share."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock
        self._hourly_totals = HourlyTotals()
        self._newest_seq = 0

    @asynccontextmanager
    async def read(
        self, scope: HTTPScope, path: Mapping[str, str], query: Mapping[str, Any]
    ) -> AsyncIterator[RequestContext]:
        """What a handler needs, while its transaction is open; notes the version it sees.

        Raises:
            RecordUnavailable: the database does not answer.
        """
        now = self._clock()
        async with reading(self._engine) as conn:
            as_of = await read_as_of(conn)
            if as_of.seq < self._newest_seq:
                # A backup may have been put in the record's place: sums in memory are of another.
                self._hourly_totals = HourlyTotals()
            self._newest_seq = as_of.seq
            set_version(scope, RecordVersion(as_of.seq, now // 60, as_of.is_stale(now)))
            sees_invoices = access_of(scope).sees_invoices
            yield RequestContext(conn, as_of, now, path, query, self._hourly_totals, sees_invoices)

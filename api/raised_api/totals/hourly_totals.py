"""The ledger's sums by hour, in memory: rows are only ever added, so only new ones are read."""

import asyncio
from collections.abc import Collection, Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.sums import HourSum, Scope, all_hours, hourly, hours_after, newest_movement


class HourlyTotals:
    """Sums over all projects, by hour, source and kind."""

    def __init__(self) -> None:
        self._sums = _Sums()

    def clear(self) -> None:
        """Begin anew: the record is another one. Requests under way go on with the old sums."""
        self._sums = _Sums()

    async def before(
        self, conn: AsyncConnection, kinds: Collection[str], source: str | None, end: int
    ) -> list[tuple[int, str, int]]:
        """(hour, kind, millisatoshis) before `end`, exactly as this transaction sees them."""
        return await self._sums.before(conn, kinds, source, end)


class _Sums:
    """The sums of all rows up to the newest that was read."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, str, str], int] = {}
        self._newest = 0
        self._lock = asyncio.Lock()

    async def before(
        self, conn: AsyncConnection, kinds: Collection[str], source: str | None, end: int
    ) -> list[tuple[int, str, int]]:
        newest = await newest_movement(conn)
        async with self._lock:
            if newest < self._newest:
                # A newer transaction has added rows that this one does not see.
                return await hourly(conn, kinds, Scope(source), end)
            if newest > self._newest:
                is_first = self._newest == 0
                self._add(await (all_hours(conn) if is_first else hours_after(conn, self._newest)))
                self._newest = newest
            return [
                (hour, kind, msats)
                for (hour, row_source, kind), msats in self._sums.items()
                if kind in kinds and hour < end and source in {None, row_source}
            ]

    def _add(self, sums: Iterable[HourSum]) -> None:
        for row in sums:
            key = (row.hour, row.source, row.kind)
            self._sums[key] = self._sums.get(key, 0) + row.msats

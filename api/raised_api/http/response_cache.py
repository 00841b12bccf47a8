"""Answers as ready bytes. Between two changes the same question has the same answer.

A kept answer depends on route, parameters, the newest change, the minute and staleness alone; those
three are the stamp. When the stamp moves, everything kept is dropped.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import reading
from raised.db.queries.as_of import read_as_of
from raised_api.http.route import RequestContext, Route
from raised_api.totals.hourly_totals import HourlyTotals

_KEPT_BYTES = 32 * 1024 * 1024
_ENTRY_BYTES = 1024  # what an entry costs beside its body, about

# Path and query as they were asked, and whether the asker sees rows that make payers traceable.
Key = tuple[str, bytes, bool]


class RecordVersion(NamedTuple):
    """What a kept answer depends on beside the question."""

    seq: int
    minute: int
    stale: bool


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """An answer as it goes out. `template`: the route's path, for the metrics."""

    body: bytes
    etag: str
    template: str


class ResponseCache:
    """Reads answers from the record, and keeps them while they hold."""

    def __init__(
        self, engine: AsyncEngine, stamp: Callable[[int], RecordVersion], clock: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._stamp = stamp
        self._clock = clock
        self._kept: dict[Key, CachedResponse] = {}
        self._kept_for = RecordVersion(-1, 0, stale=True)
        self._kept_bytes = 0
        self._hours = HourlyTotals()
        self._newest = 0
        self._reading: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def find(self, key: Key) -> CachedResponse | None:
        """The kept answer, if it still holds."""
        stamp = self._stamp(self._clock())
        if stamp != self._kept_for:
            self._kept.clear()
            self._kept_for, self._kept_bytes = stamp, 0
            return None
        return self._kept.get(key)

    async def read(
        self, route: Route, key: Key, path: Mapping[str, str], query: Mapping[str, Any]
    ) -> CachedResponse:
        """The answer, from the record unless somebody asked the same meanwhile.

        Raises:
            NotInRecord: there is no such thing.
            RecordUnavailable: the database does not answer.
        """
        if not route.kept:
            return (await self._answer(route, key, path, query))[0]
        lock = self._reading.setdefault(key, asyncio.Lock())
        async with lock:
            if found := self.find(key):
                return found
            ready, stamp = await self._answer(route, key, path, query)
            self._keep(key, ready, stamp)
            return ready

    async def _answer(
        self, route: Route, key: Key, path: Mapping[str, str], query: Mapping[str, Any]
    ) -> tuple[CachedResponse, RecordVersion]:
        now, sees_invoices = self._clock(), key[2]
        async with reading(self._engine) as conn:
            as_of = await read_as_of(conn)
            if as_of.seq < self._newest:
                self._hours = HourlyTotals()  # a backup may have been put in the record's place
            self._newest = as_of.seq
            context = RequestContext(conn, as_of, now, path, query, self._hours, sees_invoices)
            found = await route.answer(context)
        body = msgspec.json.encode(found)
        digest = blake2b(body, digest_size=16, key=b"invoices" if sees_invoices else b"")
        etag = f'"{digest.hexdigest()}"'
        return CachedResponse(body, etag, route.path), RecordVersion(
            as_of.seq, now // 60, as_of.is_stale(now)
        )

    def _keep(self, key: Key, ready: CachedResponse, stamp: RecordVersion) -> None:
        """Keep what is at least as new as all that was announced."""
        current = self._stamp(self._clock())
        if stamp.seq < current.seq or stamp[1:] != current[1:] or current != self._kept_for:
            return
        weight = len(ready.body) + len(key[1]) + _ENTRY_BYTES
        if self._kept_bytes + weight <= _KEPT_BYTES:
            self._kept[key] = ready
            self._kept_bytes += weight

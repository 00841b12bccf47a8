"""The inbox at the API's side: what senders bring is stored before they are answered.

Senders that wait together are stored in one transaction: a durable commit costs the same for all
of them. Requests that are refused are only counted, and the counts written every few seconds: an
open door must not fill the disk.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Never

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import reading, transact
from raised.db.requests.inbox import Adder, Delivery, count_refused, store_ids
from raised.errors import RecordUnavailable

_TOGETHER: Final = 500  # deliveries in one transaction
_WAITING: Final = 10_000  # senders; who comes then is asked to try again
_COUNT_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 5  # how long the daemon's word about its stores is believed

_log = structlog.get_logger()


class Inbox:
    """Stores deliveries and counts refusals. Works while `living`."""

    def __init__(self, engine: AsyncEngine, adder: Adder, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._adder = adder
        self._clock = clock
        self._waiting: list[tuple[Delivery, asyncio.Future[None]]] = []
        self._came = asyncio.Event()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._store_ids: dict[str, str] = {}
        self._looked_at: int | None = None

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Store what comes meanwhile."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._follow_deliveries(), name="deliveries"),
                    group.create_task(self._follow_refusals(), name="refused deliveries"),
                ]
                yield
                for task in tasks:
                    task.cancel()
            await self._write_refused()
        finally:
            await self._adder.close()

    async def keep(self, delivery: Delivery) -> None:
        """Have a delivery stored; it survives a power cut when this returns.

        Raises:
            RecordUnavailable: it could not be stored.
        """
        if len(self._waiting) >= _WAITING:
            raise RecordUnavailable("too many deliveries wait to be stored")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, stored))
        self._came.set()
        await stored

    def refuse(self, store: str, reason: str) -> None:
        """Count a request that was refused."""
        self._refused[store, reason] += 1

    async def store_id(self, label: str) -> str | None:
        """The id of a store as the daemon follows it; None when it did not say.

        Raises:
            RecordUnavailable: the database does not answer, and never has.
        """
        now = self._clock()
        if self._looked_at is None or not 0 <= now - self._looked_at < _LOOK_SECONDS:
            was, self._looked_at = self._looked_at, now  # the others need not look, too
            try:
                async with reading(self._engine) as conn:
                    self._store_ids = await store_ids(conn)
            except RecordUnavailable:
                self._looked_at = was
                if was is None:
                    raise
        return self._store_ids.get(label)

    async def _follow_deliveries(self) -> Never:
        while True:
            await self._came.wait()
            together, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            if not self._waiting:
                self._came.clear()
            await self._store(together)

    async def _store(self, together: list[tuple[Delivery, asyncio.Future[None]]]) -> None:
        failure: RecordUnavailable | None = None
        try:
            await self._adder.add([delivery for delivery, _ in together])
        except RecordUnavailable as error:
            _log.error("deliveries not stored", number=len(together), error=str(error))
            failure = error
        for _, stored in together:
            if stored.done():
                continue  # the sender has left; it is in the record none the less
            if failure is None:
                stored.set_result(None)
            else:
                stored.set_exception(RecordUnavailable(str(failure)))

    async def _follow_refusals(self) -> Never:
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            await self._write_refused()

    async def _write_refused(self) -> None:
        if not self._refused:
            return
        counts, self._refused = self._refused, Counter()
        try:
            await transact(self._engine, count_refused, counts, self._clock())
        except RecordUnavailable as error:
            self._refused += counts
            _log.warning("refused deliveries not counted yet", error=str(error))

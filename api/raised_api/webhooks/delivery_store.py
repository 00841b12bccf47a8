"""Stores webhook deliveries before their senders are answered.

Deliveries that wait at the same time are stored in one transaction: a durable commit costs the same
for all of them. Refused requests are only counted, and the counts written every few seconds:
strangers must not fill the disk.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import reading, transact
from raised.db.requests.inbox import Adder, Delivery, count_refused, store_ids
from raised.errors import RecordUnavailable

_BATCH: Final = 500  # deliveries in one transaction
# Senders that wait; the next ones are answered 503, and BTCPay Server sends again.
_MAX_WAITING: Final = 10_000
_REFUSALS_SECONDS: Final = 3.0  # how often the counts of refused requests are written
_STORE_IDS_SECONDS: Final = 5  # how long the ids of the followed stores are not read again

_log = structlog.get_logger()

_Waiting = tuple[Delivery, asyncio.Future[None]]


class DeliveryStore:
    """Stores deliveries and counts refused requests, while `running`."""

    def __init__(self, engine: AsyncEngine, adder: Adder, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._adder = adder
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._delivery_waits = asyncio.Event()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._refusal_waits = asyncio.Event()
        # A statement that fails while its task is cancelled outranks the cancellation.
        self._stopping = False
        self._store_ids: dict[str, str] = {}
        self._store_ids_read_at: int | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background until the block ends; then write what was counted."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._store_deliveries(), name="deliveries"),
                    group.create_task(self._write_refused_repeatedly(), name="refused deliveries"),
                ]
                yield
                self._stopping = True
                for task in tasks:
                    task.cancel()
            await self._write_refused()
        finally:
            await self._adder.close()

    async def add(self, delivery: Delivery) -> None:
        """Have a delivery stored; it survives a power cut when this returns.

        Raises:
            RecordUnavailable: it could not be stored.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise RecordUnavailable("too many deliveries wait to be stored")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, stored))
        self._delivery_waits.set()
        await stored

    def count_refused(self, store: str, reason: str) -> None:
        """Count a request that was refused."""
        self._refused[store, reason] += 1
        self._refusal_waits.set()

    async def store_ids(self) -> Mapping[str, str]:
        """The id of each store that the daemon follows by label; those of a few seconds ago.

        Raises:
            RecordUnavailable: the database does not answer, and never has.
        """
        now, read_at = self._clock(), self._store_ids_read_at
        if read_at is None or not 0 <= now - read_at < _STORE_IDS_SECONDS:
            self._store_ids_read_at = now  # before the read: requests meanwhile need not read, too
            try:
                async with reading(self._engine) as conn:
                    self._store_ids = await store_ids(conn)
            except RecordUnavailable:
                self._store_ids_read_at = read_at
                if read_at is None:
                    raise
        return self._store_ids

    async def _store_deliveries(self) -> None:
        while not self._stopping:
            await self._delivery_waits.wait()
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            if not self._waiting:
                self._delivery_waits.clear()
            await self._store(batch)

    async def _store(self, batch: list[_Waiting]) -> None:
        failure: RecordUnavailable | None = None
        try:
            await self._adder.add([delivery for delivery, _ in batch])
        except RecordUnavailable as error:
            _log.error("deliveries not stored", number=len(batch), error=str(error))
            failure = error
        for _, stored in batch:
            if stored.done():
                continue  # the sender has left; its delivery is stored none the less
            if failure is None:
                stored.set_result(None)
            else:
                stored.set_exception(RecordUnavailable(str(failure)))

    async def _write_refused_repeatedly(self) -> None:
        while not self._stopping:
            await self._refusal_waits.wait()
            self._refusal_waits.clear()
            await self._write_refused()  # the first at once: health shows them
            await asyncio.sleep(_REFUSALS_SECONDS)

    async def _write_refused(self) -> None:
        if not self._refused:
            return
        counts, self._refused = self._refused, Counter()
        try:
            await transact(self._engine, count_refused, counts, self._clock())
        except RecordUnavailable as error:
            self._refused += counts  # written with the next ones
            self._refusal_waits.set()
            _log.warning("refused deliveries not counted yet", error=str(error))

"""The record as the sources see it: what they must know to go on where they left off."""

from collections.abc import AsyncIterator, Collection

from sqlalchemy.ext.asyncio import AsyncEngine

from raised.btcpay.ports import PendingDelivery, SweepCheckpoint
from raised.chain.ports import WatchedCoin
from raised.clock import now
from raised.db.engine import reading
from raised.db.queries import chain_source, relay_source, store_source
from raised.domain.bitcoin.tx import Txid
from raised.domain.event import Event
from raised.domain.observation import BlockRef
from raised.nostr.ports import RelayCursor


class RecordView:
    """Reads only; implements RelayRecord, ChainRecord and StoreRecord."""

    def __init__(self, engine: AsyncEngine, finality: int) -> None:
        self._engine = engine
        self._finality = finality

    async def known_event_ids(self, ids: Collection[str]) -> set[str]:
        """Those of these event ids that are in the record."""
        async with reading(self._engine) as conn:
            return await relay_source.known_event_ids(conn, ids)

    async def relay_cursor(self, relay: str) -> RelayCursor | None:
        """How far this relay's answers are in the record."""
        async with reading(self._engine) as conn:
            cursor = await relay_source.relay_cursor(conn, relay)
        return RelayCursor(*cursor) if cursor else None

    async def missing_events(self) -> tuple[str, ...]:
        """Event ids that founding transactions name and the record lacks."""
        async with reading(self._engine) as conn:
            return await relay_source.missing_events(conn)

    async def are_sources_read(self) -> bool:
        """Whether every source has been read once."""
        async with reading(self._engine) as conn:
            return await relay_source.are_sources_read(conn)

    async def project_pubkeys(self) -> tuple[str, ...]:
        """The nostr keys of all projects."""
        async with reading(self._engine) as conn:
            return await relay_source.project_pubkeys(conn)

    async def events_not_on_relay(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Events of committed projects that no answer of this relay has contained."""
        async with reading(self._engine) as conn:
            return await relay_source.events_not_on_relay(conn, relay, limit)

    async def recent_blocks(self, count: int) -> tuple[BlockRef, ...]:
        """The newest blocks of the record, newest first."""
        async with reading(self._engine) as conn:
            return await chain_source.recent_blocks(conn, count)

    async def hashes_at(self, heights: Collection[int]) -> dict[int, str]:
        """The hashes of those blocks of the record that have these heights."""
        async with reading(self._engine) as conn:
            return await chain_source.hashes_at(conn, heights)

    async def watched_projects(self) -> tuple[str, ...]:
        """The identifiers of all projects."""
        async with reading(self._engine) as conn:
            return await chain_source.all_projects(conn)

    async def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        """Every coin that is unspent, or was spent within finality."""
        async with reading(self._engine) as conn:
            final = await chain_source.final_height(conn, self._finality)
            async for outpoint, kind in chain_source.watched_coins(conn, final):
                yield WatchedCoin(outpoint, kind)

    async def unindexed_projects(self) -> tuple[str, ...]:
        """Projects whose address history was never read, the most promising first."""
        async with reading(self._engine) as conn:
            return await chain_source.unindexed_projects(conn)

    async def unconfirmed(self) -> tuple[Txid, ...]:
        """Transactions that are in no block and not known to be gone."""
        async with reading(self._engine) as conn:
            return tuple(sorted(await chain_source.unconfirmed_txids(conn)))

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        """Projects whose unconfirmed transactions are worth a request, the most promising first."""
        async with reading(self._engine) as conn:
            return await chain_source.active_projects(conn, now(), limit)

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        """Deliveries not acted on, oldest first."""
        async with reading(self._engine) as conn:
            deliveries = await store_source.pending_deliveries(conn, store, limit)
        return tuple(PendingDelivery(*delivery) for delivery in deliveries)

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        """Ids that are stored as New or Processing, those missing upstream left out."""
        async with reading(self._engine) as conn:
            return await store_source.open_invoices(conn, store)

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        """Ids that expired after `since`, and those with a payment still Processing."""
        async with reading(self._engine) as conn:
            return await store_source.late_invoices(conn, store, since)

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        """(method, payment id) of what these invoices were paid with and is not Invalid."""
        async with reading(self._engine) as conn:
            return await store_source.counting_payments(conn, store, ids)

    async def uncounted_methods(self, store: str) -> frozenset[tuple[str, str]]:
        """(method, currency) of payments and completed payouts that do not count as bitcoin."""
        async with reading(self._engine) as conn:
            return await store_source.uncounted_methods(conn, store)

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        """The full sweep to go on with."""
        async with reading(self._engine) as conn:
            checkpoint = await store_source.interrupted_sweep(conn, store)
        return None if checkpoint is None else SweepCheckpoint(*checkpoint)

    async def swept_at(self, store: str) -> int | None:
        """When the last complete full sweep began; None before the first."""
        async with reading(self._engine) as conn:
            return await store_source.swept_at(conn, store)

    async def invoice_count(self, store: str) -> int:
        """How many invoices are stored."""
        async with reading(self._engine) as conn:
            return await store_source.count_invoices(conn, store)

    async def refresh_requested_at(self) -> int | None:
        """When somebody last asked for an immediate pull."""
        async with reading(self._engine) as conn:
            return await store_source.refresh_requested_at(conn)

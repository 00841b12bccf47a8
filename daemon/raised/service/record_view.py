"""The record as the sources see it: what they must know to go on where they left off."""

from collections.abc import AsyncIterator, Collection

from sqlalchemy.ext.asyncio import AsyncEngine

from raised.btcpay.ports import PendingDelivery, SweepCheckpoint
from raised.chain.ports import WatchedCoin
from raised.clock import now
from raised.db.engine import reading
from raised.db.facts import blocks, coins, cursors, deliveries, events, invoices, projects, txs
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
            return await events.known_events(conn, ids)

    async def relay_cursor(self, relay: str) -> RelayCursor | None:
        """How far this relay's answers are in the record."""
        async with reading(self._engine) as conn:
            found = await cursors.cursor_of(conn, "relay", relay)
        return RelayCursor(*found) if found else None

    async def missing_events(self) -> tuple[str, ...]:
        """Event ids that founding transactions name and the record lacks."""
        async with reading(self._engine) as conn:
            return await events.missing_events(conn)

    async def project_pubkeys(self) -> tuple[str, ...]:
        """The nostr keys of all projects."""
        async with reading(self._engine) as conn:
            return await events.project_pubkeys(conn)

    async def events_not_on_relay(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Events of committed projects that no answer of this relay has held."""
        async with reading(self._engine) as conn:
            return await events.events_lacking(conn, relay, limit)

    async def recent_blocks(self, count: int) -> tuple[BlockRef, ...]:
        """The newest blocks of the record, newest first."""
        async with reading(self._engine) as conn:
            return await blocks.recent_blocks(conn, count)

    async def hashes_at(self, heights: Collection[int]) -> dict[int, str]:
        """The hashes of those blocks of the record that have these heights."""
        async with reading(self._engine) as conn:
            return await blocks.hashes_at(conn, heights)

    async def watched_projects(self) -> tuple[str, ...]:
        """The identifiers of all projects."""
        async with reading(self._engine) as conn:
            return await projects.all_projects(conn)

    async def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        """Every coin that is unspent, or was spent within finality."""
        async with reading(self._engine) as conn:
            tip = await blocks.best_block(conn)
            settled = tip.height - self._finality if tip else -1
            async for outpoint, kind in coins.watched_coins(conn, settled):
                yield WatchedCoin(outpoint, kind)

    async def unindexed_projects(self) -> tuple[str, ...]:
        """Projects whose address history was never read, the most promising first."""
        async with reading(self._engine) as conn:
            return await projects.unindexed_projects(conn)

    async def unconfirmed(self) -> tuple[Txid, ...]:
        """Transactions that are in no block and not known to be gone."""
        async with reading(self._engine) as conn:
            return tuple(sorted(await txs.unconfirmed_txids(conn)))

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        """Projects whose unconfirmed transactions are worth a request, the most promising first."""
        async with reading(self._engine) as conn:
            return await projects.active_projects(conn, now(), limit)

    async def pending_deliveries(self, store: str, limit: int) -> tuple[PendingDelivery, ...]:
        """Deliveries not acted on, oldest first."""
        async with reading(self._engine) as conn:
            found = await deliveries.pending_deliveries(conn, store, limit)
        return tuple(PendingDelivery(*one) for one in found)

    async def open_invoices(self, store: str) -> tuple[str, ...]:
        """Ids held as New or Processing, those missing upstream left out."""
        async with reading(self._engine) as conn:
            return await invoices.open_invoices(conn, store)

    async def late_invoices(self, store: str, since: int) -> tuple[str, ...]:
        """Ids that expired after `since`, and those with a payment still Processing."""
        async with reading(self._engine) as conn:
            return await invoices.late_invoices(conn, store, since)

    async def counting_payments(
        self, store: str, ids: Collection[str]
    ) -> dict[str, frozenset[tuple[str, str]]]:
        """(method, payment id) of what these invoices were paid with and is not Invalid."""
        async with reading(self._engine) as conn:
            return await invoices.counting_payments(conn, store, ids)

    async def interrupted_sweep(self, store: str) -> SweepCheckpoint | None:
        """The full sweep to go on with."""
        async with reading(self._engine) as conn:
            found = await cursors.cursor_of(conn, cursors.FULL_SWEEP, store)
        if found is None or found[1] is None:
            return None
        return SweepCheckpoint(began_at=found[1], end=found[0])

    async def swept_at(self, store: str) -> int | None:
        """When the last complete full sweep began; None before the first."""
        async with reading(self._engine) as conn:
            found = await cursors.cursor_of(conn, cursors.STORE, store)
        return None if found is None else found[1]

    async def invoice_count(self, store: str) -> int:
        """How many invoices are held."""
        async with reading(self._engine) as conn:
            return await invoices.count_invoices(conn, store)

    async def refresh_requested_at(self) -> int | None:
        """When somebody last asked for an immediate pull."""
        async with reading(self._engine) as conn:
            return await deliveries.refresh_requested_at(conn)

"""What the chain source reads from the record: a port that `service` and tests implement."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from raised.domain.angor.watched_outputs import CoinKind
from raised.domain.bitcoin.tx import OutPoint, Txid
from raised.domain.observation import BlockRef


@dataclass(frozen=True, slots=True)
class WatchedCoin:
    """A coin by `angor.watched_outputs` that is unspent, or was spent within finality."""

    outpoint: OutPoint
    kind: CoinKind


class ChainRecord(Protocol):
    """The record, as far as the chain source reads it."""

    async def recent_blocks(self, count: int) -> tuple[BlockRef, ...]:
        """The newest blocks of the record, newest first."""
        ...

    async def hashes_at(self, heights: Collection[int]) -> Mapping[int, str]:
        """The hashes of those blocks of the record that have these heights."""
        ...

    async def watched_projects(self) -> tuple[str, ...]:
        """The identifiers of all projects, announced ones too."""
        ...

    def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        """Every coin to watch."""
        ...

    async def unindexed_projects(self) -> tuple[str, ...]:
        """Projects whose address history was never read, the most promising first."""
        ...

    async def unconfirmed(self) -> tuple[Txid, ...]:
        """Transactions that are in no block and not known to be gone."""
        ...

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        """Projects whose unconfirmed transactions are worth a request, the most promising first."""
        ...

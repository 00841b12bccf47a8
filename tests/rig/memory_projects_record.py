"""The record of several projects, in memory: which histories were read, and what they hold."""

from collections.abc import AsyncIterator, Collection, Sequence

from raised.chain.ports import WatchedCoin
from raised.domain.bitcoin.tx import Txid
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    GroupProblems,
    HistorySeen,
    Observation,
    SourceHealth,
    SourceProblem,
    TipSeen,
)


class MemoryProjectsRecord:
    """Applies observations as they come. `read`: the projects whose whole history was seen."""

    def __init__(self, projects: Sequence[str]) -> None:
        self.projects = tuple(projects)
        self.read: set[str] = set()
        self.txids: set[Txid] = set()
        self.tip: BlockRef | None = None
        self.health: dict[str, SourceHealth] = {}
        self.states: set[str] = set()
        self.problems: tuple[SourceProblem, ...] = ()

    async def recent_blocks(self, count: int) -> tuple[BlockRef, ...]:
        del count
        return ()

    async def hashes_at(self, heights: Collection[int]) -> dict[int, str]:
        del heights
        return {}

    async def watched_projects(self) -> tuple[str, ...]:
        return self.projects

    async def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        for coin in tuple[WatchedCoin, ...]():
            yield coin

    async def unindexed_projects(self) -> tuple[str, ...]:
        return tuple(project_id for project_id in self.projects if project_id not in self.read)

    async def unconfirmed(self) -> tuple[Txid, ...]:
        return ()

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        return self.projects[:limit]

    def apply(self, observation: Observation) -> None:
        """Apply an observation."""
        match observation:
            case TipSeen(block=block):
                self.tip = block
            case BlockSeen(block=block, txs=txs):
                self.tip = block
                self.txids |= {placed.tx.txid for placed in txs}
            case HistorySeen(project_id=project_id, txs=rows, whole=whole):
                self.read |= {project_id} if whole else set()
                self.txids |= {placed.tx.txid for _, placed in rows}
            case SourceHealth(name=name, state=state):
                self.health[name] = observation
                self.states.add(state)
            case GroupProblems(problems=problems):
                self.problems = problems
            case _:
                pass

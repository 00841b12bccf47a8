"""The projects whose history was never read: which is read next, how far that is, what is on hold.

New blocks must not wait for histories, so these are read for a while in each turn. Anybody can make
a history that no explorer manages to give, so a project that failed comes after all others.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final, assert_never

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.ancestry.outcomes import NeedsAnswers, NeedsLink, NeedsOthers, Unfinished
from raised.chain.best_chain import BestChain
from raised.chain.block_scan import FoundingTest, WatchSet, add_relevant
from raised.chain.explorer.api import Explorer
from raised.chain.history import read_history
from raised.chain.ports import ChainRecord
from raised.clock import now
from raised.domain.observation import HistorySeen, Observation, Progress
from raised.errors import SourceError

_PROGRESS: Final = "index"  # the name of the first pass in the status
# Tries of each project that fails before the first pass counts as done: the status must not say
# "indexing" for ever because of a history that nobody can read.
_TRIES: Final = 3
# So long a reported history may take through the queue to the record before it is read again.
_QUEUED_SECONDS: Final = 60.0
_TURN_SECONDS: Final = 20.0  # so long histories are read before blocks are looked at again


@dataclass(frozen=True, slots=True)
class _Reported:
    """When a history was reported, up to which tip, and how many gaps there were before."""

    tip_hash: str
    gaps: int
    at: float


class HistoryBacklog:
    """Reads histories, one project after the other, with whatever explorer it is given."""

    def __init__(
        self,
        record: ChainRecord,
        best_chain: BestChain,
        linker: AncestryLinker,
        watched: WatchSet,
        founding_of: FoundingTest,
    ) -> None:
        self._record = record
        self._best_chain = best_chain
        self._linker = linker
        self._watched = watched
        self._founding_of = founding_of
        self._unlinked: set[str] = set()  # their old blocks have to be linked to ours first
        self._failures: Counter[str] = Counter()
        self._reported: dict[str, _Reported] = {}
        self._first_pass_done = False
        self._total = 0

    async def has_untried(self) -> bool:
        """Whether there is a project whose history was not read and did not fail yet."""
        return any(not self._failures[project_id] for project_id in await self._waiting())

    async def read_some(
        self, explorer: Explorer, outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Read histories for a while, or until one fails: the error of that one.

        Raises as the explorer does while it links old blocks to ours.
        """
        waiting = sorted(
            await self._waiting(),
            key=lambda project_id: (project_id in self._unlinked, self._failures[project_id]),
        )
        self._total = max(self._total, len(waiting))
        error = await self._read_in_order(explorer, waiting, outbox)
        if all(self._failures[project_id] > _TRIES for project_id in waiting):
            await self._report_progress(outbox, 0)
        return error

    async def _read_in_order(
        self, explorer: Explorer, waiting: list[str], outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Read until the time is up or a history fails. What was read is taken off the list."""
        time = asyncio.get_running_loop().time
        until = time() + _TURN_SECONDS
        while waiting and time() < until:
            project_id = waiting[0]
            if project_id in self._unlinked and not await self._linker.step(explorer):
                continue
            await self._report_progress(outbox, len(waiting))
            outcome = await self._read(explorer, project_id, outbox)
            match outcome:
                case HistorySeen():
                    self._unlinked.discard(waiting.pop(0))
                case NeedsLink() | NeedsAnswers():
                    self._unlinked.add(project_id)
                    waiting.append(waiting.pop(0))
                case NeedsOthers():
                    return None  # that other explorers are away is no fault of this one
                case SourceError():
                    return outcome
                case _:
                    assert_never(outcome)
        return None

    async def _read(
        self, explorer: Explorer, project_id: str, outbox: asyncio.Queue[Observation]
    ) -> HistorySeen | Unfinished | SourceError:
        """Read one history and report it. Errors of the explorer are returned, and counted."""
        assert self._best_chain.chain is not None, "histories are read after a tip was seen"
        # Before the history is read, so that a block in between is scanned for the project.
        self._watched.add_project(project_id)
        self._linker.set_chain(self._best_chain.chain)
        try:
            outcome = await read_history(explorer, project_id, now(), self._linker)
        except SourceError as error:
            self._failures[project_id] += 1
            return error
        if isinstance(outcome, HistorySeen):
            await self._report(outcome, outbox)
        elif isinstance(outcome, NeedsOthers):
            self._failures[project_id] += 1
        return outcome

    async def _report(self, history: HistorySeen, outbox: asyncio.Queue[Observation]) -> None:
        for _, placed in history.txs:
            add_relevant(placed.tx, self._watched, self._founding_of)
        await outbox.put(history)
        at = asyncio.get_running_loop().time()
        reported = _Reported(history.tip.hash, self._best_chain.gaps, at)
        self._reported[history.project_id] = reported

    async def _waiting(self) -> list[str]:
        """The projects whose history is to be read: not those that were reported already.

        Others fill the queue to the record, too, so nobody waits until it is empty. What the record
        did not take, because of another chain, is read again after a reorg, a gap, or a while.
        """
        unindexed = await self._record.unindexed_projects()
        self._reported = {
            project_id: reported
            for project_id, reported in self._reported.items()
            if self._may_be_queued(reported)
        }
        return [project_id for project_id in unindexed if project_id not in self._reported]

    def _may_be_queued(self, reported: _Reported) -> bool:
        chain = self._best_chain.chain
        return (
            reported.at > asyncio.get_running_loop().time() - _QUEUED_SECONDS
            and reported.gaps == self._best_chain.gaps
            and chain is not None
            and chain.height_of(reported.tip_hash) is not None
        )

    async def _report_progress(self, outbox: asyncio.Queue[Observation], left: int) -> None:
        """How far the first pass over all projects is."""
        if self._first_pass_done:
            return
        await outbox.put(Progress(_PROGRESS, self._total - left, self._total, now()))
        self._first_pass_done = left == 0

"""The projects whose history was never read: which is read next, and what is on hold.

New blocks must not wait for histories, so these are read for a while in each turn. Anybody can make
a history that no explorer manages to give. So what fails there is charged to the project, unless
the explorer answers nothing else either: each explorer is tried, then the project is set aside, and
tried again after pauses that grow (docs/containment.md).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.ancestry.outcomes import NeedsAnswers, NeedsLink, NeedsOthers, Unfinished
from raised.chain.best_chain import BestChain
from raised.chain.block_scan import FoundingTest, WatchSet, add_relevant
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.history import PartialHistory, read_history
from raised.chain.ports import ChainRecord
from raised.chain.unread_histories import UnreadHistories
from raised.clock import now
from raised.domain.observation import HistorySeen, Observation
from raised.errors import SourceError

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
        unread: UnreadHistories,
    ) -> None:
        self._record = record
        self._best_chain = best_chain
        self._linker = linker
        self._watched = watched
        self._founding_of = founding_of
        self._unread = unread
        # Projects whose old blocks have to be linked to ours first, and who shows them.
        self._unlinked: dict[str, str] = {}
        self._slow: defaultdict[str, set[str]] = defaultdict(set)  # explorers, by project
        self._reading: tuple[str, str] | None = None  # the project, and from which explorer
        self._reported: dict[str, _Reported] = {}
        # Long histories that are read on in the next turn, by project, and from which explorer.
        self._partial: dict[str, tuple[str, _Reported, PartialHistory]] = {}
        self._until = float("inf")

    async def has_untried(self) -> bool:
        """Whether there is a project whose history was not read and did not fail yet."""
        return any(not self._unread.failures[project_id] for project_id in await self._waiting())

    async def read_some(
        self, peers: Sequence[ExplorerPeer], outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Read histories for a while; an error when the first of the explorers fails as a whole.

        `peers`: those that show our tip. Raises as the explorer does while it links old blocks to
        ours.
        """
        due = sorted(
            (project_id for project_id in await self._waiting() if self._unread.is_due(project_id)),
            key=lambda project_id: (
                project_id in self._partial,
                project_id in self._unlinked,
                self._unread.failures[project_id],
            ),
        )
        return await self._read_in_order(peers, due, outbox)

    def on_slow(self, peer: ExplorerPeer) -> bool:
        """Whether a turn that this explorer kept waiting was reading a history from it.

        Then it is asked for that one after the others.
        """
        if self._reading is None or self._reading[1] != peer.name:
            return False
        self._slow[self._reading[0]].add(peer.name)
        self._reading = None
        return True

    async def _read_in_order(
        self, peers: Sequence[ExplorerPeer], due: list[str], outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Read until the time is up. What was read or failed is taken off the list."""
        time = asyncio.get_running_loop().time
        self._until = time() + _TURN_SECONDS
        while due and time() < self._until:
            project_id = due[0]
            if not await self._is_linked(peers, project_id):
                continue
            outcome = await self._read(peers, due.pop(0), outbox)
            match outcome:
                case PartialHistory():
                    pass  # the time is up: blocks are looked at before it is read on
                case NeedsLink() | NeedsAnswers():
                    due.append(project_id)
                case HistorySeen() | NeedsOthers() | None:
                    pass  # it was read or set aside
                case SourceError():
                    return outcome
                case _:
                    assert_never(outcome)
        return None

    async def _is_linked(self, peers: Sequence[ExplorerPeer], project_id: str) -> bool:
        """Whether the blocks of a project can be checked now; takes a step towards it."""
        name = self._unlinked.get(project_id)
        explorer = next((peer.explorer for peer in peers if peer.name == name), None)
        return explorer is None or await self._linker.step(explorer)

    async def _read(
        self, peers: Sequence[ExplorerPeer], project_id: str, outbox: asyncio.Queue[Observation]
    ) -> HistorySeen | Unfinished | PartialHistory | SourceError | None:
        """Read one history, from whichever explorer gives it, and report it.

        None when it was set aside; the error of the first explorer when that fails as a whole.
        """
        assert self._best_chain.chain is not None, "histories are read after a tip was seen"
        # Before the history is read, so that a block in between is scanned for the project.
        self._watched.add_project(project_id)
        self._linker.set_chain(self._best_chain.chain)
        reasons: list[SourceError] = []
        short: list[tuple[ExplorerPeer, HistorySeen]] = []
        for peer in self._in_order(peers, project_id):
            outcome = await self._read_from(peer, project_id)
            if isinstance(outcome, HistorySeen) and not outcome.whole:
                short.append((peer, outcome))
                continue
            if not isinstance(outcome, SourceError):
                return await self._settle(peer, project_id, outcome, outbox)
            host_error = await peer.error_of_host(outcome)
            if host_error is None:
                reasons.append(outcome)
            elif peer is peers[0]:
                self._unread.failures[project_id] += 1
                return host_error
            else:
                await peer.on_error(host_error)
        if short:
            peer, longest = max(short, key=lambda reading: len(reading[1].txs))
            return await self._settle(peer, project_id, longest, outbox)
        self._unread.on_failure(project_id, reasons, self._slow.pop(project_id, set()))
        return None

    def _in_order(self, peers: Sequence[ExplorerPeer], project_id: str) -> Sequence[ExplorerPeer]:
        """Whom to ask: first who gave pages or linked its blocks; nobody who kept us waiting."""
        begun, slow = self._partial.get(project_id), self._slow[project_id]
        first = self._unlinked.get(project_id) if begun is None else begun[0]
        quick = [peer for peer in peers if peer.name not in slow]
        return sorted(quick, key=lambda peer: peer.name != first)

    async def _read_from(
        self, peer: ExplorerPeer, project_id: str
    ) -> HistorySeen | Unfinished | PartialHistory | SourceError:
        assert peer.explorer is not None, "only peers that were probed are asked"
        self._reading = (project_id, peer.name)
        partial = self._partial_of(peer, project_id)
        outcome: HistorySeen | Unfinished | PartialHistory | SourceError
        try:
            outcome = await read_history(
                peer.explorer, project_id, now(), self._linker, partial=partial
            )
        except SourceError as error:
            self._partial.pop(project_id, None)
            outcome = error
        # Not when the turn is cancelled: whoever does that asks what was read.
        self._reading = None
        return outcome

    def _partial_of(self, peer: ExplorerPeer, project_id: str) -> PartialHistory:
        """What this explorer gave of a history before, unless the chain changed since.

        Blocks that came meanwhile do not matter: they were scanned for the project.
        """
        name, begun, partial = self._partial.get(project_id, (None, None, None))
        if begun is None or partial is None or name != peer.name or not self._is_on_chain(begun):
            partial = PartialHistory()
            begun = self._state_now()
            self._partial[project_id] = (peer.name, begun, partial)
        partial.until = self._until
        return partial

    async def _settle(
        self,
        peer: ExplorerPeer,
        project_id: str,
        outcome: HistorySeen | Unfinished | PartialHistory,
        outbox: asyncio.Queue[Observation],
    ) -> HistorySeen | Unfinished | PartialHistory:
        match outcome:
            case PartialHistory():
                pass  # it was kept before it was read
            case HistorySeen():
                self._partial.pop(project_id, None)
                self._unlinked.pop(project_id, None)
                self._slow.pop(project_id, None)
                self._unread.on_history(outcome)
                peer.on_history()
                await self._report(outcome, outbox)
            case NeedsLink() | NeedsAnswers():
                self._partial.pop(project_id, None)
                self._unlinked[project_id] = peer.name
            case NeedsOthers():
                self._partial.pop(project_id, None)
                self._unread.on_unconfirmed(project_id)
            case _:
                assert_never(outcome)
        return outcome

    async def _report(self, history: HistorySeen, outbox: asyncio.Queue[Observation]) -> None:
        for _, placed in history.txs:
            add_relevant(placed.tx, self._watched, self._founding_of)
        await outbox.put(history)
        at = asyncio.get_running_loop().time()
        reported = _Reported(history.tip.hash, self._best_chain.gaps, at)
        self._reported[history.project_id] = reported

    def _state_now(self) -> _Reported:
        at = asyncio.get_running_loop().time()
        return _Reported(self._best_chain.tip.hash, self._best_chain.gaps, at)

    async def _waiting(self) -> list[str]:
        """The projects whose history is to be read: not those that were reported already.

        Others fill the queue to the record, too, so nobody waits until it is empty. What the record
        did not take, because of another chain, is read again after a reorg, a gap, or a while.
        """
        unindexed = await self._record.unindexed_projects()
        self._unread.keep_only(unindexed)
        self._partial = {
            project_id: self._partial[project_id]
            for project_id in unindexed
            if project_id in self._partial
        }
        self._reported = {
            project_id: reported
            for project_id, reported in self._reported.items()
            if self._may_be_queued(reported)
        }
        return [project_id for project_id in unindexed if project_id not in self._reported]

    def _may_be_queued(self, reported: _Reported) -> bool:
        is_late = reported.at <= asyncio.get_running_loop().time() - _QUEUED_SECONDS
        return not is_late and self._is_on_chain(reported)

    def _is_on_chain(self, reported: _Reported) -> bool:
        chain = self._best_chain.chain
        return (
            reported.gaps == self._best_chain.gaps
            and chain is not None
            and chain.height_of(reported.tip_hash) is not None
        )

"""When the mempool is looked at, of which explorer, and what happens when that fails.

A view that fails is charged to the question, unless the explorer answers nothing else either: a
project's address or a transaction is set aside and left out of the next views, and where the
mempool as a whole is refused the next explorer is asked, after pauses that grow
(docs/containment.md).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from raised.chain.block_scan import FoundingTest, WatchSet
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.mempool import Mempool
from raised.chain.ports import ChainRecord
from raised.clock import now
from raised.domain.observation import MempoolSeen, Observation
from raised.errors import SourceError
from raised.net.backoff import Backoff, loop_time
from raised.net.set_aside import SetAside
from raised.net.source_health import SourceHealthTracker

_ACTIVE_PROJECTS: Final = 50  # whose addresses are asked for unconfirmed transactions
_VIEW_REQUESTS: Final = 3  # that a look at an unchanged mempool takes
_VIEW_SECONDS: Final = 30.0  # an unchanged view is reported so often: the record keeps its age
_LONGEST_PAUSE_SECONDS: Final = 600.0
_PROBLEM: Final = "mempool_unread"


class MempoolWatch:
    """Reports views of the mempool. `seconds`: between two looks at it."""

    def __init__(
        self,
        record: ChainRecord,
        watched: WatchSet,
        founding_of: FoundingTest,
        problems: SourceHealthTracker,
        seconds: float,
    ) -> None:
        self._record = record
        self._problems = problems
        self._seconds = seconds
        txs = SetAside(problems, seconds, _LONGEST_PAUSE_SECONDS, state="ok")
        self._mempool = Mempool(watched, founding_of, txs)
        self._set_aside = SetAside(problems, seconds, _LONGEST_PAUSE_SECONDS, state="ok")
        self._backoffs: dict[str, Backoff] = {}  # by explorer
        self._read_at: float | None = None
        self._reported_at: float | None = None

    async def look(
        self, peers: Sequence[ExplorerPeer], tip_hash: str, outbox: asyncio.Queue[Observation]
    ) -> SourceError | None:
        """Look when it is time; an error when the first of these explorers fails as a whole.

        `peers`: those that show our tip, `tip_hash`.
        """
        time, before = loop_time(), self._read_at
        if before is not None and time - before < self._seconds:
            return None
        for peer in peers:
            spare = peer.http.bucket.available() - _VIEW_REQUESTS
            if spare < 0 or not self._backoff(peer).is_due():
                continue  # blocks come first
            self._read_at = time
            try:
                await self._read(peer, spare, tip_hash, outbox)
            except SourceError as error:
                host_error = await self._on_error(peer, error)
                if host_error is not None and peer is peers[0]:
                    return host_error
                continue
            self._backoff(peer).on_success()
            self._problems.end_problem(_PROBLEM)
            return None
        return None

    async def _read(
        self, peer: ExplorerPeer, spare: int, tip_hash: str, outbox: asyncio.Queue[Observation]
    ) -> None:
        assert peer.explorer is not None, "only peers that were probed are asked"
        active = await self._record.active_projects(_ACTIVE_PROJECTS)
        self._set_aside.keep_only(active)
        known = await self._record.unconfirmed()
        due = [project_id for project_id in active if self._set_aside.is_due(project_id)]
        projects = due[:spare]
        view = await self._mempool.read(peer.explorer, projects, known, now(), spare)
        for project_id in projects:
            self._set_aside.on_success(project_id)
        # When a block came in between, what left the mempool may be in it.
        if self._is_worth_a_report(view) and await peer.explorer.tip_hash() == tip_hash:
            self._reported_at = self._read_at
            await outbox.put(view)
        if self._mempool.error is not None:
            raise self._mempool.error

    async def _on_error(self, peer: ExplorerPeer, error: SourceError) -> SourceError | None:
        project_id = self._mempool.asks_about
        host_error = await peer.error_of_host(error)
        if host_error is None and project_id is not None:
            sentence = f"its unconfirmed transactions cannot be read: {peer.name} {error.detail}"
            self._set_aside.on_failure(project_id, _PROBLEM, sentence)
        elif host_error is None:
            self._backoff(peer).on_failure()
            sentence = f"unconfirmed transactions cannot be read: {peer.name} {error.detail}"
            self._problems.begin_problem(_PROBLEM, sentence)
        return host_error

    def _backoff(self, peer: ExplorerPeer) -> Backoff:
        backoff = Backoff(self._seconds, _LONGEST_PAUSE_SECONDS)
        return self._backoffs.setdefault(peer.name, backoff)

    def _is_worth_a_report(self, view: MempoolSeen) -> bool:
        time, before = self._read_at, self._reported_at
        assert time is not None, "it was read just now"
        is_old = before is None or time - before > _VIEW_SECONDS
        return bool(view.txs or view.gone) or is_old

"""Unconfirmed transactions of the watched projects, and which of them left the mempool.

Of a mempool that can be listed every transaction is read once, so unconfirmed spends are seen too;
each time as many as the rate limit leaves. As long as many are unread, and where the mempool is too
large to list, the addresses of projects are asked as well. That an explorer still answers for a
transaction proves nothing: it may be left from a block of another fork (docs/chain-api.md 9).
A transaction is still unconfirmed when it is listed, or named as the spender of its first input.
Anybody can make a transaction that an explorer fails to give. So what fails there is charged to the
transaction: it is set aside, and the others are read (docs/containment.md).
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from raised.chain.block_scan import FoundingTest, WatchSet, add_relevant
from raised.chain.explorer.api import Explorer
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.observation import MempoolSeen
from raised.errors import SourceError
from raised.net.set_aside import SetAside

_SMALL: Final = 3_000  # transactions; up to so many the list is asked for each time: 200 kB
_MAX_LISTED: Final = 50_000  # above that the list is never asked for: 3 MB
_LIST_SECONDS: Final = 60  # between two lists of a mempool that is not small
# Transactions kept in memory although they concern nobody yet: their parent may come later.
_MAX_UNRELATED: Final = 5_000
_MAX_INPUTS: Final = 20_000  # first inputs remembered before those of unknown txids are dropped
_FAILURES_IN_A_ROW: Final = 3  # of different transactions: then the explorer is in trouble
_PROBLEM: Final = "mempool_tx_unread"


class Mempool:
    """The mempool of one explorer at a time; `read` gives each new view of it.

    `set_aside`: the transactions that could not be read, by txid.
    `error`: what ended the last view early, after several transactions in a row that failed.
    """

    def __init__(self, watched: WatchSet, founding_of: FoundingTest, set_aside: SetAside) -> None:
        self._watched = watched
        self._founding_of = founding_of
        self._set_aside = set_aside
        self._failures_in_a_row = 0
        self.error: SourceError | None = None
        self._explorer = ""
        self.asks_about: str | None = None  # the project whose address is asked, if it is one's
        self._unread: set[Txid] = set()
        self._read: set[Txid] = set()
        self._unrelated: dict[Txid, Tx] = {}  # looked at again, as more is watched later
        self._inputs: dict[Txid, OutPoint] = {}  # the first input of what was reported
        self._listed_at: int | None = None
        self._whole_at: int | None = None

    async def read(
        self,
        explorer: Explorer,
        projects: Sequence[str],
        known: Collection[Txid],
        at: int,
        spare: int,
    ) -> MempoolSeen:
        """The unconfirmed transactions that concern us, and which of the known ones are gone.

        `at`: unix seconds now. `spare`: about so many requests may be spent. Raises as the
        explorer does when it gives no list, or not what an address is paid.
        """
        if explorer.name != self._explorer:  # another one has another mempool
            self._explorer, self._listed_at, self._whole_at = explorer.name, None, None
        self.asks_about, self.error, self._failures_in_a_row = None, None, 0
        listed = await self._list(explorer, known, at)
        self._set_aside.keep_only(self._unread | set(known))
        relevant: dict[Txid, Tx] = {}
        if listed is None or len(self._due(self._unread)) > spare:
            relevant = await self._by_address(explorer, projects)
            spare -= len(projects)
        new = await self._read_unread(explorer, max(spare, 1))
        relevant |= self._relevant(new if listed is None else self._unrelated)
        missing = [txid for txid in known if txid not in relevant]
        gone = await self._gone(explorer, listed, missing)
        self._inputs |= {txid: tx.inputs[0].outpoint for txid, tx in relevant.items()}
        self._drop_inputs(known)
        if not self._unread:
            self._whole_at = self._listed_at
        txs = tuple(tx for txid, tx in relevant.items() if listed is None or txid not in known)
        lost = tuple(sorted(gone))
        return MempoolSeen(tuple(projects), txs, lost, explorer.name, at, self._whole_at)

    async def _list(self, explorer: Explorer, known: Collection[Txid], at: int) -> set[Txid] | None:
        """The txids of the mempool, if the list is worth a request; None otherwise."""
        size = await explorer.mempool_size()
        before = self._listed_at
        soon = before is not None and at - before < _LIST_SECONDS
        if size > _MAX_LISTED or (size > _SMALL and soon):
            return None
        listed = set(await explorer.mempool_txids())
        self._listed_at = at
        self._read &= listed
        self._unread = listed - self._read - set(known)
        self._unrelated = {txid: tx for txid, tx in self._unrelated.items() if txid in listed}
        return listed

    async def _read_unread(self, explorer: Explorer, most: int) -> dict[Txid, Tx]:
        """Read up to `most` of the transactions that were not read yet."""
        new: dict[Txid, Tx] = {}
        for txid in self._due(self._unread)[:most]:
            if self.error is not None:
                break
            with self._setting_aside(explorer, txid):
                seen = await explorer.tx(txid)
                self._unread.discard(txid)
                self._read.add(txid)
                if seen is not None and seen.placement is None:
                    new[txid] = self._unrelated[txid] = seen.tx
        return new

    def _due(self, txids: Collection[Txid]) -> list[Txid]:
        """Those that may be asked for now, what failed before last."""
        due = [txid for txid in txids if self._set_aside.is_due(txid)]
        return sorted(due, key=self._set_aside.__contains__)

    @contextmanager
    def _setting_aside(self, explorer: Explorer, txid: Txid) -> Iterator[None]:
        """Set a transaction aside when the questions about it in this block fail."""
        try:
            yield
        except SourceError as error:
            self._on_failure(explorer, txid, error.detail)
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
                self.error = error
        except asyncio.CancelledError:  # it kept us waiting: the next look must not begin with it
            self._on_failure(explorer, txid, "takes too long")
            raise
        else:
            self._failures_in_a_row = 0
            self._set_aside.on_success(txid)

    def _on_failure(self, explorer: Explorer, txid: Txid, detail: str) -> None:
        sentence = f"this unconfirmed transaction cannot be read: {explorer.name} {detail}"
        self._set_aside.on_failure(txid, _PROBLEM, f"{sentence}; it is asked for again")

    def _relevant(self, txs: Mapping[Txid, Tx]) -> dict[Txid, Tx]:
        """Those that concern us, again and again while a parent makes a child relevant."""
        relevant: dict[Txid, Tx] = {}
        while new := {
            txid: tx
            for txid, tx in txs.items()
            if txid not in relevant and add_relevant(tx, self._watched, self._founding_of)
        }:
            relevant |= new
        surplus = max(0, len(self._unrelated) - _MAX_UNRELATED)
        for txid in list(islice(self._unrelated, surplus)):
            del self._unrelated[txid]
        return relevant

    async def _by_address(self, explorer: Explorer, projects: Sequence[str]) -> dict[Txid, Tx]:
        relevant: dict[Txid, Tx] = {}
        for project_id in projects:
            self.asks_about = project_id
            for seen in await explorer.unconfirmed(project_script(project_id)):
                is_relevant = add_relevant(seen.tx, self._watched, self._founding_of)
                if seen.placement is None and is_relevant:
                    relevant[seen.tx.txid] = seen.tx
        self.asks_about = None
        return relevant

    async def _gone(
        self, explorer: Explorer, listed: set[Txid] | None, missing: Sequence[Txid]
    ) -> list[Txid]:
        if listed is not None:
            return [txid for txid in missing if txid not in listed]
        gone: list[Txid] = []
        for txid in self._due(missing):
            if self.error is not None:
                break
            with self._setting_aside(explorer, txid):
                if not await self._is_unconfirmed(explorer, txid):
                    gone.append(txid)
        return gone

    async def _is_unconfirmed(self, explorer: Explorer, txid: Txid) -> bool:
        outpoint = self._inputs.get(txid) or await _first_input(explorer, txid)
        if outpoint is None:
            return False
        spenders = await explorer.spenders(outpoint.txid)
        if spenders is None or outpoint.vout >= len(spenders):
            return False
        spender = spenders[outpoint.vout]
        return spender is not None and spender.txid == txid

    def _drop_inputs(self, known: Collection[Txid]) -> None:
        if len(self._inputs) > _MAX_INPUTS:
            self._inputs = {txid: self._inputs[txid] for txid in known if txid in self._inputs}


async def _first_input(explorer: Explorer, txid: Txid) -> OutPoint | None:
    seen = await explorer.tx(txid)
    return None if seen is None else seen.tx.inputs[0].outpoint

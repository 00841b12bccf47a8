"""What waits for a block: shown apart, and dropped when it is nowhere any more.

Of a mempool that can be listed every transaction is read once, so unconfirmed spends are seen too;
as many at a look as the explorer has to spare. As long as that leaves many unread, and where there
is no list, the addresses of projects are asked as well. An explorer that still answers for a
transaction proves nothing: it may be left from a block that is no more (chain-api.md 9). Alive is
what is listed, or what the first of its inputs is said to be spent by.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from raised.chain.explorer.api import Explorer
from raised.chain.scan import FoundingTest, Watched, concern
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.observation import MempoolSeen

_SMALL: Final = 3_000  # transactions; the list of these is asked for at every look
_LISTED: Final = 50_000  # a list of more is more than we take: 3 MB
_LIST_SECONDS: Final = 60  # between two lists of a mempool that is not small
_MOST_STRANGERS: Final = 5_000
_MOST_REMEMBERED: Final = 20_000


class Mempool:
    """One view of what waits, read again and again."""

    def __init__(self, watched: Watched, founding_of: FoundingTest) -> None:
        self._watched = watched
        self._founding_of = founding_of
        self._explorer = ""
        self._unread: set[Txid] = set()
        self._read: set[Txid] = set()
        self._strangers: dict[Txid, Tx] = {}  # of no concern until we watch more than today
        self._inputs: dict[Txid, OutPoint] = {}  # the first input of what we reported
        self._listed_at = self._whole_at = -1

    async def read(
        self,
        explorer: Explorer,
        projects: Sequence[str],
        known: Collection[Txid],
        at: int,
        spare: int,
    ) -> MempoolSeen:
        """What waits and concerns us, and which of the known ones are gone. Raises as it does.

        `spare`: about so many requests may be spent.
        """
        if explorer.name != self._explorer:  # another one has another mempool
            self._explorer, self._listed_at, self._whole_at = explorer.name, -1, -1
        waiting = await self._list(explorer, known, at)
        found: dict[Txid, Tx] = {}
        if waiting is None or len(self._unread) > spare:
            found = await self._by_address(explorer, projects)
            spare -= len(projects)
        new = await self._some(explorer, max(spare, 1))
        found |= self._concerning(new if waiting is None else self._strangers)
        missing = [txid for txid in known if txid not in found]
        gone = await self._gone(explorer, waiting, missing)
        self._inputs |= {txid: tx.inputs[0].outpoint for txid, tx in found.items()}
        self._forget(known)
        if not self._unread:
            self._whole_at = self._listed_at
        told = tuple(tx for txid, tx in found.items() if waiting is None or txid not in known)
        whole_at = self._whole_at if self._whole_at >= 0 else None
        return MempoolSeen(tuple(projects), told, tuple(sorted(gone)), explorer.name, at, whole_at)

    async def _list(self, explorer: Explorer, known: Collection[Txid], at: int) -> set[Txid] | None:
        """All that waits now, if that is worth a request; and from then on what to read of it."""
        size = await explorer.mempool_size()
        soon = self._listed_at >= 0 and at - self._listed_at < _LIST_SECONDS
        if size > _LISTED or (size > _SMALL and soon):
            return None
        waiting = set(await explorer.mempool_txids())
        self._listed_at = at
        self._read &= waiting
        self._unread = waiting - self._read - set(known)
        self._strangers = {txid: tx for txid, tx in self._strangers.items() if txid in waiting}
        return waiting

    async def _some(self, explorer: Explorer, most: int) -> dict[Txid, Tx]:
        """Read so many of those that were not read yet."""
        new: dict[Txid, Tx] = {}
        for txid in list(islice(self._unread, most)):
            seen = await explorer.tx(txid)
            self._unread.discard(txid)
            self._read.add(txid)
            if seen is not None and seen.placement is None:
                new[txid] = self._strangers[txid] = seen.tx
        return new

    def _concerning(self, waiting: Mapping[Txid, Tx]) -> dict[Txid, Tx]:
        """Those that concern us: looked at again while parents show why children matter."""
        found: dict[Txid, Tx] = {}
        while new := {
            txid: tx
            for txid, tx in waiting.items()
            if txid not in found and concern(tx, self._watched, self._founding_of) is not None
        }:
            found |= new
        surplus = max(0, len(self._strangers) - _MOST_STRANGERS)
        for txid in list(islice(self._strangers, surplus)):
            del self._strangers[txid]
        return found

    async def _by_address(self, explorer: Explorer, projects: Sequence[str]) -> dict[Txid, Tx]:
        found: dict[Txid, Tx] = {}
        for project_id in projects:
            for seen in await explorer.unconfirmed(project_script(project_id)):
                concerned = concern(seen.tx, self._watched, self._founding_of)
                if seen.placement is None and concerned is not None:
                    found[seen.tx.txid] = seen.tx
        return found

    async def _gone(
        self, explorer: Explorer, waiting: set[Txid] | None, missing: Sequence[Txid]
    ) -> list[Txid]:
        if waiting is not None:
            return [txid for txid in missing if txid not in waiting]
        return [txid for txid in missing if not await self._is_alive(explorer, txid)]

    async def _is_alive(self, explorer: Explorer, txid: Txid) -> bool:
        outpoint = self._inputs.get(txid) or await _first_input(explorer, txid)
        if outpoint is None:
            return False
        spenders = await explorer.spenders(outpoint.txid)
        if spenders is None or outpoint.vout >= len(spenders):
            return False
        spender = spenders[outpoint.vout]
        return spender is not None and spender.txid == txid

    def _forget(self, known: Collection[Txid]) -> None:
        if len(self._inputs) > _MOST_REMEMBERED:
            self._inputs = {txid: self._inputs[txid] for txid in known if txid in self._inputs}


async def _first_input(explorer: Explorer, txid: Txid) -> OutPoint | None:
    seen = await explorer.tx(txid)
    return None if seen is None else seen.tx.inputs[0].outpoint

"""What waits for a block: shown apart, and dropped when it is nowhere any more.

A small mempool is read whole, so unconfirmed spends are seen too; of a large one only the addresses
of projects are asked. An explorer that still answers for a transaction proves nothing: it may be
left from a block that is no more (chain-api.md 9). Alive is what is listed, or what the first of
its inputs is said to be spent by.
"""

from collections.abc import Collection, Sequence
from typing import Final

from raised.chain.explorer import Explorer
from raised.chain.scan import FoundingTest, Watched, concern
from raised.domain.identifier import project_script
from raised.domain.observation import MempoolSeen
from raised.domain.tx import OutPoint, Tx, Txid

_SMALL: Final = 3_000  # transactions; main has a hundred times as many
_MOST_REMEMBERED: Final = 20_000


class Mempool:
    """One view of what waits, read again and again."""

    def __init__(self, watched: Watched, founding_of: FoundingTest) -> None:
        self._watched = watched
        self._founding_of = founding_of
        self._strangers: dict[Txid, Tx] = {}  # of no concern until we watch more than today
        self._inputs: dict[Txid, OutPoint] = {}  # the first input of what we reported

    async def read(
        self,
        explorer: Explorer,
        projects: Sequence[str],
        known: Collection[Txid],
        at: int,
    ) -> MempoolSeen:
        """What waits and concerns us, and which of the known ones are gone. Raises as it does."""
        if await explorer.mempool_size() <= _SMALL:
            waiting = set(await explorer.mempool_txids())
            found = await self._whole(explorer, waiting - set(known))
            gone = [txid for txid in known if txid not in waiting]
        else:
            found = await self._by_address(explorer, projects)
            missing = [txid for txid in known if txid not in found]
            gone = [txid for txid in missing if not await self._is_alive(explorer, txid)]
        for txid, tx in found.items():
            self._inputs[txid] = tx.inputs[0].outpoint
        self._forget(known)
        return MempoolSeen(
            tuple(projects), tuple(found.values()), tuple(sorted(gone)), explorer.name, at
        )

    async def _whole(self, explorer: Explorer, waiting: set[Txid]) -> dict[Txid, Tx]:
        """Read each transaction once; look again while parents show why children matter."""
        unread = {txid: tx for txid, tx in self._strangers.items() if txid in waiting}
        for txid in sorted(waiting - unread.keys()):
            seen = await explorer.tx(txid)
            if seen is not None and seen.placement is None:
                unread[txid] = seen.tx
        found: dict[Txid, Tx] = {}
        while new := {
            txid: tx
            for txid, tx in unread.items()
            if txid not in found and concern(tx, self._watched, self._founding_of) is not None
        }:
            found |= new
        self._strangers = {txid: tx for txid, tx in unread.items() if txid not in found}
        return found

    async def _by_address(self, explorer: Explorer, projects: Sequence[str]) -> dict[Txid, Tx]:
        found: dict[Txid, Tx] = {}
        for project_id in projects:
            for seen in await explorer.unconfirmed(project_script(project_id)):
                concerned = concern(seen.tx, self._watched, self._founding_of)
                if seen.placement is None and concerned is not None:
                    found[seen.tx.txid] = seen.tx
        return found

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

"""What waits for a block: shown apart, with the age of the view, and dropped when it is gone."""

from collections.abc import Iterable, Sequence

from raised.chain.explorer import Explorer
from raised.domain.identifier import project_script
from raised.domain.observation import MempoolSeen
from raised.domain.tx import Tx, Txid
from raised.chain.scan import FoundingTest, Watched, concern


async def read_mempool(
    explorer: Explorer,
    projects: Sequence[str],
    unconfirmed: Iterable[Txid],
    watched: Watched,
    founding_of: FoundingTest,
    at: int,
) -> MempoolSeen:
    """The unconfirmed transactions of these projects, and which known ones are gone.

    A transaction that an explorer still answers for proves nothing: it may be left from a block
    that is no more. What counts is whether it is listed among all that wait.
    """
    waiting = set(await explorer.mempool_txids())
    known = set(unconfirmed)
    found: dict[Txid, Tx] = {}
    for project_id in projects if waiting else ():
        for seen in await explorer.unconfirmed(project_script(project_id)):
            if seen.placement is None:
                found[seen.tx.txid] = seen.tx
    for txid in waiting - known - found.keys():
        seen_tx = await explorer.tx(txid)
        if seen_tx is not None and seen_tx.placement is None:
            if concern(seen_tx.tx, watched, founding_of) is not None:
                found[txid] = seen_tx.tx
    gone = tuple(sorted(known - waiting))
    return MempoolSeen(tuple(projects), tuple(found.values()), gone, explorer.name, at)

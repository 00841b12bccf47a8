"""Which transactions go where when a branch replaces blocks."""

from collections.abc import Sequence

from raised.domain.bitcoin.tx import Tx


def new_branch(
    old: Sequence[Sequence[Tx]], lost: set[str], early: set[str], late: set[str]
) -> list[list[Tx]]:
    """Blocks for a branch one longer than `old`.

    Each transaction keeps its place but the lost ones and all that hangs on them, which go, those
    in `late`, which move to the last block, and those in `early`, which come first of all. What
    spends from a moved transaction never comes before it.
    """
    branch: list[list[Tx]] = [[] for _ in range(len(old) + 1)]
    places: dict[str, int] = {}
    gone = set(lost)
    for depth, block in enumerate(old):
        for tx in block:
            parents = {txin.outpoint.txid for txin in tx.inputs}
            if tx.txid in gone or parents & gone:
                gone.add(tx.txid)
                continue
            wanted = len(old) if tx.txid in late else 0 if tx.txid in early else depth
            place = max([wanted, *(places[p] for p in parents if p in places)])
            places[tx.txid] = place
            branch[place].append(tx)
    return [_sorted(block, early) for block in branch]


def _sorted(block: list[Tx], early: set[str]) -> list[Tx]:
    return sorted(block, key=lambda tx: tx.txid not in early)

"""Recycled money: an investment paid with coins that were claimed from the same project."""

from collections.abc import Callable
from typing import Final

from raised.domain.bitcoin.tx import Tx, Txid

MAX_HOPS: Final = 3


def is_recycled(
    tx: Tx, stored: Callable[[Txid], Tx | None], is_claim: Callable[[Txid], bool]
) -> bool:
    """Whether an input descends from a claim within three hops through transactions in the record.

    `is_claim` says of a transaction whether it claims a stage output of the project.
    """
    seen: set[Txid] = set()
    generation = [tx]
    for _ in range(MAX_HOPS):
        parents = {txin.outpoint.txid for tx in generation for txin in tx.inputs} - seen
        if any(map(is_claim, parents)):
            return True
        seen |= parents
        generation = [parent for parent in map(stored, parents) if parent is not None]
    return False

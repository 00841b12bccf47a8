"""All transactions that may concern a project, in the order of the chain."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from raised.domain.angor.investment_state import InvestmentState, Spender, StoredTx, Tip
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid, TxOut


@dataclass(frozen=True, eq=False)
class TxSet:
    """The transactions in the order of the chain, those without a block last, and its tip."""

    txs: tuple[StoredTx, ...]
    by_id: Mapping[Txid, StoredTx]
    tip: Tip

    @cached_property
    def spenders(self) -> Mapping[OutPoint, tuple[Spender, ...]]:
        """Who spends what."""
        found: dict[OutPoint, list[Spender]] = {}
        for stored in self.txs:
            for vin, txin in enumerate(stored.tx.inputs):
                found.setdefault(txin.outpoint, []).append(Spender(stored, vin))
        return {outpoint: tuple(spenders) for outpoint, spenders in found.items()}

    def tx(self, txid: Txid) -> Tx | None:
        """The transaction, or None when it is not in the set."""
        stored = self.by_id.get(txid)
        return None if stored is None else stored.tx

    def height(self, txid: Txid) -> int | None:
        """The height of a transaction of the case, None while it is in no block."""
        place = self.by_id[txid].place
        return None if place is None else place.height

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """The output, or None when nobody knows it."""
        tx = self.tx(outpoint.txid)
        if tx is None or outpoint.vout >= len(tx.outputs):
            return None
        return tx.outputs[outpoint.vout]


def tx_set_of(txs: Iterable[StoredTx], tip: Tip | None) -> TxSet:
    """The case that these transactions make; without `tip` it ends with the highest of them."""
    ordered = tuple(sorted(txs, key=_order))
    heights = [stored.place.height for stored in ordered if stored.place is not None]
    highest = Tip(max(heights, default=0), "", confirmations=1)
    return TxSet(ordered, {stored.tx.txid: stored for stored in ordered}, tip or highest)


def _order(stored: StoredTx) -> tuple[bool, int, int, str]:
    place = stored.place
    if place is None:
        return (True, 0, 0, stored.tx.txid)
    return (False, place.height, place.position, stored.tx.txid)


def stage_coins(investment_states: Iterable[InvestmentState]) -> Iterable[OutPoint]:
    """The stage outputs of these investments."""
    for investment_state in investment_states:
        for stage in investment_state.stages:
            yield OutPoint(investment_state.txid, stage.stage.vout)


def penalty_coins(investment_states: Iterable[InvestmentState]) -> Iterable[OutPoint]:
    """The penalty outputs that they went into."""
    for investment_state in investment_states:
        for stage in investment_state.stages:
            if stage.penalty is not None:
                yield stage.penalty.outpoint

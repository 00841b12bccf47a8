"""The waiting transactions: accepted by Core's rules as far as the stories need them.

Finality, relative locks, double spends, maturity, amounts, scripts and replacement are checked as a
node would; standardness (dust, sizes, script forms) is not.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.bitcoin.block_assembly import MATURITY
from raised_simnet.bitcoin.kernel import verify_inputs
from raised_simnet.bitcoin.utxo_set import Coin

_LOCKTIME_IS_TIME: Final = 500_000_000
_FINAL: Final = 0xFFFFFFFF
_NO_RELATIVE_LOCK: Final = 1 << 31
_LOCK_IS_TIME: Final = 1 << 22


class Rejected(Exception):
    """A block or transaction that the rules refuse; `reason` in Bitcoin Core's words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Tip(Protocol):
    """What the mempool must know of the chain it waits for."""

    @property
    def height(self) -> int:
        """Of the best block."""

    @property
    def median_time(self) -> int:
        """Of the best block."""

    @property
    def unspent(self) -> Mapping[OutPoint, Coin]:
        """What confirmed coins there are."""

    def median_time_before(self, height: int) -> int:
        """The median time of the block before this height."""


class Mempool:
    """Unconfirmed transactions in the order they arrived."""

    def __init__(self, tip: Tip) -> None:
        self._tip = tip
        self.txs: dict[str, Tx] = {}
        self.spent: dict[OutPoint, str] = {}

    def accept(self, tx: Tx, *, check_scripts: bool = True) -> None:
        """Add a transaction; what it replaces goes. Raises Rejected."""
        if tx.txid in self.txs:
            raise Rejected("txn-already-in-mempool")
        if OutPoint(tx.txid, 0) in self._tip.unspent:
            raise Rejected("txn-already-known")
        if not is_final(tx, self._tip.height + 1, self._tip.median_time):
            raise Rejected("non-final")
        coins = [self._coin(txin.outpoint) for txin in tx.inputs]
        self._check_locks(tx, coins)
        fee = sum(c.output.value for c in coins) - sum(o.value for o in tx.outputs)
        if fee < 0:
            raise Rejected("bad-txns-in-belowout")
        if fee * 10 < virtual_size(tx):
            raise Rejected("min relay fee not met")
        replaced = self._replaced(tx, fee)
        if check_scripts and not all(verify_inputs(tx, [c.output for c in coins])):
            raise Rejected("mempool-script-verify-flag-failed")
        for txid in replaced:
            self._forget(txid)
        self.txs[tx.txid] = tx
        self.spent.update((txin.outpoint, tx.txid) for txin in tx.inputs)

    def drop(self, txid: str) -> None:
        """Forget a transaction and everything that spends from it."""
        for gone in self.with_descendants({txid}):
            self._forget(gone)

    def clear(self) -> list[Tx]:
        """Forget everything; what there was, in order of arrival."""
        txs = list(self.txs.values())
        self.txs.clear()
        self.spent.clear()
        return txs

    def with_descendants(self, txids: set[str]) -> set[str]:
        """These waiting transactions and all that spend from them, directly or not."""
        found = {txid for txid in txids if txid in self.txs}
        for txid, tx in self.txs.items():  # parents arrive before children
            if any(txin.outpoint.txid in found for txin in tx.inputs):
                found.add(txid)
        return found

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """An output of a waiting transaction."""
        tx = self.txs.get(outpoint.txid)
        return tx.outputs[outpoint.vout] if tx and outpoint.vout < len(tx.outputs) else None

    def coins(self, script_pubkey: bytes) -> Iterator[Coin]:
        """Unspent outputs of waiting transactions."""
        for tx in self.txs.values():
            for vout, output in enumerate(tx.outputs):
                outpoint = OutPoint(tx.txid, vout)
                if output.script_pubkey == script_pubkey and outpoint not in self.spent:
                    yield Coin(outpoint, output, self._tip.height + 1, coinbase=False)

    def _coin(self, outpoint: OutPoint) -> Coin:
        coin = self._tip.unspent.get(outpoint)
        if coin is not None:
            return coin
        output = self.output(outpoint)
        if output is None:
            raise Rejected("bad-txns-inputs-missingorspent")
        return Coin(outpoint, output, self._tip.height + 1, coinbase=False)

    def _check_locks(self, tx: Tx, coins: list[Coin]) -> None:
        for txin, coin in zip(tx.inputs, coins, strict=True):
            if coin.coinbase and self._tip.height + 1 - coin.height < MATURITY:
                raise Rejected("bad-txns-premature-spend-of-coinbase")
            if tx.version >= 2 and not self._lock_is_over(txin.sequence, coin):
                raise Rejected("non-BIP68-final")

    def _lock_is_over(self, sequence: int, coin: Coin) -> bool:
        if sequence & _NO_RELATIVE_LOCK:
            return True
        units = sequence & 0xFFFF
        if sequence & _LOCK_IS_TIME:
            since = self._tip.median_time_before(coin.height)
            return self._tip.median_time >= since + 512 * units
        return self._tip.height + 1 >= coin.height + units

    def _replaced(self, tx: Tx, fee: int) -> set[str]:
        rivals = {self.spent[i.outpoint] for i in tx.inputs if i.outpoint in self.spent}
        gone = self.with_descendants(rivals)
        if any(txin.outpoint.txid in gone for txin in tx.inputs):
            raise Rejected("bad-txns-spends-conflicting-tx")
        lost_fees = sum(self.fee(self.txs[txid]) for txid in gone)
        if gone and (fee - lost_fees) * 10 < virtual_size(tx):
            raise Rejected("insufficient fee, rejecting replacement " + tx.txid)
        return gone

    def fee(self, tx: Tx) -> int:
        """What an acceptable transaction leaves to the miner."""
        spent = sum(self._coin(txin.outpoint).output.value for txin in tx.inputs)
        return spent - sum(output.value for output in tx.outputs)

    def _forget(self, txid: str) -> None:
        tx = self.txs.pop(txid)
        for txin in tx.inputs:
            if self.spent.get(txin.outpoint) == txid:
                del self.spent[txin.outpoint]


def virtual_size(tx: Tx) -> int:
    """Weight ÷ 4, rounded up."""
    return -(-tx.weight // 4)


def is_final(tx: Tx, height: int, median_time: int) -> bool:
    """Whether a block of this height, on a tip of this median time, may hold it. Source: BIP113."""
    limit = median_time if tx.locktime >= _LOCKTIME_IS_TIME else height
    return tx.locktime < limit or all(txin.sequence == _FINAL for txin in tx.inputs)

"""The set of unspent outputs, walked forwards and backwards block by block."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output and the height it was made at."""

    outpoint: OutPoint
    output: TxOut
    height: int
    coinbase: bool


class UtxoSet:
    """What can be spent at the tip."""

    def __init__(self) -> None:
        self.unspent: dict[OutPoint, Coin] = {}
        self._of_script: defaultdict[bytes, dict[OutPoint, None]] = defaultdict(dict)
        self._undo: dict[str, list[Coin]] = {}

    def of_script(self, script_pubkey: bytes) -> Iterator[Coin]:
        """The unspent outputs of a script, oldest first."""
        return (self.unspent[outpoint] for outpoint in self._of_script[script_pubkey])

    def connect(self, block_hash: str, height: int, txs: Iterable[Tx]) -> None:
        """Apply a valid block."""
        spent: list[Coin] = []
        for tx in txs:
            if not tx.is_coinbase:
                spent.extend(self._remove(txin.outpoint) for txin in tx.inputs)
            for vout, output in enumerate(tx.outputs):
                outpoint = OutPoint(tx.txid, vout)
                self._add(Coin(outpoint, output, height, tx.is_coinbase))
        self._undo[block_hash] = spent

    def disconnect(self, block_hash: str, txs: Iterable[Tx]) -> None:
        """Take back the newest connected block."""
        # Everything spent comes back first: a coin made and spent in this block then goes again.
        for coin in self._undo.pop(block_hash):
            self._add(coin)
        for tx in txs:
            for vout in range(len(tx.outputs)):
                self._remove(OutPoint(tx.txid, vout))

    def _add(self, coin: Coin) -> None:
        self.unspent[coin.outpoint] = coin
        self._of_script[coin.output.script_pubkey][coin.outpoint] = None

    def _remove(self, outpoint: OutPoint) -> Coin:
        coin = self.unspent.pop(outpoint)
        del self._of_script[coin.output.script_pubkey][outpoint]
        return coin

"""What the server sees on the chain. Source: docs/btcpay.md 5."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.tx import Tx
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.invoice import CONFIRMATIONS, Invoice, InvoiceState, Speed

_REPLACEABLE_BELOW: Final = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class SeenPayment:
    """An output to one of the store's scripts. `id` is as the server writes outpoints."""

    id: str
    sats: int


class ChainWatcher:
    """One look at the chain and the mempool; hold the chain's lock meanwhile."""

    def __init__(self, chain: RegtestChain) -> None:
        self._chain = chain
        self._waiting = {tx.txid: tx for tx in chain.mempool}
        self._touched: dict[bytes, list[Tx]] = {}
        for tx in self._waiting.values():
            for output in tx.outputs:
                self._touched.setdefault(output.script_pubkey, []).append(tx)

    def to(self, script: bytes) -> Iterator[SeenPayment]:
        """Every output to this script that waits or is confirmed, oldest first."""
        archive = self._chain.archive
        known = (archive.txs[txid] for txid in archive.touching.get(script, ()))
        mined = [tx for tx in known if self._chain.height_of(tx.txid) is not None]
        for tx in {tx.txid: tx for tx in (*mined, *self._touched.get(script, ()))}.values():
            for vout, output in enumerate(tx.outputs):
                if output.script_pubkey == script:
                    yield SeenPayment(f"{tx.txid}-{vout}", output.value)

    def is_confirmed(self, txid: str) -> bool:
        """Whether a block of the best chain holds it."""
        return self._chain.height_of(txid) is not None

    def state(self, invoice: Invoice, payment_id: str) -> InvoiceState:
        """What becomes of a payment of this invoice as far as the chain goes."""
        txid = payment_id.partition("-")[0]
        height = self._chain.height_of(txid)
        if height is None and txid not in self._waiting:
            return InvoiceState.INVALID  # replaced, or nowhere
        have = 0 if height is None else self._chain.height - height + 1
        needed = CONFIRMATIONS[invoice.terms.speed]
        if invoice.terms.speed is Speed.HIGH and self._is_replaceable(txid):
            needed = 1
        return InvoiceState.SETTLED if have >= needed else InvoiceState.PROCESSING

    def _is_replaceable(self, txid: str) -> bool:
        tx = self._chain.tx(txid)
        return tx is None or any(txin.sequence < _REPLACEABLE_BELOW for txin in tx.inputs)

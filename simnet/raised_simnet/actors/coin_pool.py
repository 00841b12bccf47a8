"""Ordinary coins of the actors, one for each transaction, so any can be paid twice on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.input_witnesses import Spending, address_witness, with_witnesses
from raised_simnet.actors.keys import Key

_FINAL: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class OwnedCoin:
    """An output to an ordinary address, and who can spend it."""

    outpoint: OutPoint
    value: int
    key: Key

    @property
    def output(self) -> TxOut:
        """The output itself."""
        return TxOut(self.value, self.key.address_script)


def pay(coins: Sequence[OwnedCoin], outputs: Sequence[TxOut], extra_fee: int = 0) -> Tx:
    """A signed transaction with these outputs and, as Angor's wallets do it, the change last."""
    change = sum(coin.value for coin in coins) - sum(output.value for output in outputs)
    change -= network_fee(len(coins), len(outputs) + 1) + extra_fee
    return pay_exactly(coins, (*outputs, TxOut(change, coins[0].key.address_script)))


def pay_exactly(coins: Sequence[OwnedCoin], outputs: Sequence[TxOut]) -> Tx:
    """The same without a change output: what is missing is the network fee."""
    inputs = tuple(TxIn(coin.outpoint, b"", _FINAL) for coin in coins)
    spending = Spending(Tx(1, inputs, tuple(outputs), 0), tuple(coin.output for coin in coins))
    witnesses = [address_witness(spending, vin, coin.key) for vin, coin in enumerate(coins)]
    return with_witnesses(spending.tx, witnesses)


def network_fee(inputs: int, outputs: int) -> int:
    """Sats for the miners: a little over one sat per virtual byte."""
    return 200 + 150 * inputs + 60 * outputs

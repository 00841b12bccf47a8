"""A wallet of one P2WPKH key: what actors pay with."""

from collections.abc import Mapping, Sequence
from typing import Final

from raised.domain.bitcoin.bech32 import address
from raised.domain.bitcoin.curve import ecdsa_sign, pubkey_from_secret
from raised.domain.bitcoin.hashes import hash160, sha256
from raised.domain.bitcoin.script import p2wpkh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.signing import ALL, bip143_digest, p2wpkh_script_code, with_witness
from raised_simnet.bitcoin.block_assembly import MATURITY
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.mempool import virtual_size
from raised_simnet.bitcoin.utxo_set import Coin

HRP: Final = "bcrt"
RBF: Final = 0xFFFFFFFD  # replaceable, and locktime counts
_SIGNATURE: Final = bytes(72)  # the longest that a low-S signature with its type byte gets
_DUST: Final = 330


class NotEnough(Exception):
    """The wallet has not so much to spend."""


class Wallet:
    """A key from a seed and its coins on one chain.

    Coins that `take` or `pay` chose are kept aside until they are spent or released, so that two
    payments never meet. Only confirmed coins are chosen unless asked otherwise: transactions of one
    actor then do not hang on each other's change.
    """

    def __init__(self, chain: RegtestChain, seed: str) -> None:
        self._chain = chain
        self.secret = sha256(b"simnet wallet " + seed.encode())
        self.pubkey = pubkey_from_secret(self.secret)
        self.script = p2wpkh(hash160(self.pubkey))
        self.address = address(HRP, self.script) or ""
        self._aside: set[OutPoint] = set()

    def coins(self, *, unconfirmed: bool = False) -> list[Coin]:
        """What can be spent now, in the order it was made."""
        coins = self._chain.coins(self.script, unconfirmed=unconfirmed)
        return [coin for coin in coins if coin.outpoint not in self._aside]

    def balance(self) -> int:
        """Satoshis of the confirmed coins that are free."""
        return sum(coin.output.value for coin in self.coins())

    def take(self, value: int, *, unconfirmed: bool = False) -> list[Coin]:
        """Coins worth at least `value`, oldest first, set aside. Raises NotEnough."""
        taken: list[Coin] = []
        total = 0
        for coin in self.coins(unconfirmed=unconfirmed):
            if total >= value:
                break
            taken.append(coin)
            total += coin.output.value
        if total < value:
            raise NotEnough(f"{self.address} has {total} sats to spend, not {value}")
        self._aside.update(coin.outpoint for coin in taken)
        return taken

    def release(self, tx: Tx) -> None:
        """Free the coins of a transaction that will not be sent."""
        self._aside.difference_update(txin.outpoint for txin in tx.inputs)

    def pay(
        self,
        outputs: Sequence[TxOut],
        *,
        fee_rate: int = 2,
        locktime: int = 0,
        sequence: int = RBF,
        coins: Sequence[Coin] | None = None,
        unconfirmed: bool = False,
    ) -> Tx:
        """A signed transaction with these outputs and, last, the change. It is not sent.

        `fee_rate` in sat/vB. `coins`: spend exactly these (a replacement names the old ones).
        Raises NotEnough.
        """
        needed = sum(output.value for output in outputs)
        chosen = list(coins) if coins is not None else []
        while True:
            draft = self._draft(chosen, outputs, locktime, sequence)
            fee = fee_rate * virtual_size(draft)
            rest = sum(coin.output.value for coin in chosen) - needed - fee
            if rest >= 0:
                break
            if coins is not None:
                raise NotEnough(f"the given coins lack {-rest} sats")
            chosen.extend(self.take(1, unconfirmed=unconfirmed))
        change = [TxOut(rest, self.script)] if rest >= _DUST else []
        inputs = draft.inputs
        tx = Tx(2, inputs, (*outputs, *change), locktime)
        return self.sign(tx, dict(enumerate(chosen)))

    def _draft(
        self, coins: Sequence[Coin], outputs: Sequence[TxOut], locktime: int, sequence: int
    ) -> Tx:
        """As large as the signed transaction with change can be."""
        witness = (_SIGNATURE, self.pubkey)
        inputs = tuple(TxIn(coin.outpoint, b"", sequence, witness) for coin in coins)
        return Tx(2, inputs, (*outputs, TxOut(0, self.script)), locktime)

    def sign(self, tx: Tx, coins: Mapping[int, Coin]) -> Tx:
        """The transaction with our signatures on these inputs; all else in it must be settled."""
        script_code = p2wpkh_script_code(self.pubkey)
        for vin, coin in coins.items():
            digest = bip143_digest(tx, vin, script_code, coin.output.value)
            signature = ecdsa_sign(digest, self.secret) + bytes([ALL])
            tx = with_witness(tx, vin, [signature, self.pubkey])
        return tx


def fund(chain: RegtestChain, wallet: Wallet, coinbases: int = 10) -> None:
    """Mine until the wallet has so many mature coinbases (early ones are worth 50 BTC each)."""
    chain.mine_many(coinbases, payout=wallet.script)
    chain.mine_many(MATURITY)


def fan_out(wallet: Wallet, scripts: Sequence[bytes], value: int, *, each: int = 1) -> Tx:
    """A payment of `each` coins of `value` to every script: independent money for many actors."""
    outputs = [TxOut(value, script) for script in scripts for _ in range(each)]
    return wallet.pay(outputs)

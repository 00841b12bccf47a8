"""How stage outputs are spent: claims, recoveries, releases, ends. Source: docs/angor.md 10."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from raised.domain.bitcoin.script import p2wsh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.coin_pool import OwnedCoin
from raised_simnet.actors.funding_txs import StageCoin
from raised_simnet.actors.input_witnesses import (
    ALL,
    SINGLE_ANYONE,
    Spending,
    address_witness,
    leaf_signature,
    script_signature,
    with_witnesses,
)
from raised_simnet.actors.keys import Key
from raised_simnet.actors.stage_scripts import (
    END,
    FIRST_SEEDER,
    FOUNDER,
    RECOVER,
    penalty_script,
    penalty_sequence,
)

_FINAL: Final = 0xFFFFFFFF
_LOCKTIME_ON: Final = 0xFFFFFFFE
_AFTER: Final = 60  # clients wait a minute more than the leaf asks


@dataclass(frozen=True, slots=True)
class PenaltyCoin:
    """A penalty output on the chain."""

    outpoint: OutPoint
    value: int
    days: int


@dataclass(frozen=True, slots=True)
class RecoveryKeys:
    """The two that sign a recovery, and the secret when the investor is a seeder."""

    investor: Key
    founder_recovery: Key
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Revealed:
    """The secrets that open a seeder leaf, in the order of its script, and which leaf it is."""

    secrets: tuple[bytes, ...]
    leaf: int


def claim(coins: Sequence[StageCoin], founder: Key, to: TxOut) -> Tx:
    """The founder takes stages whose dates have passed, of any number of investments."""
    locktime = max(coin.stage.release_at for coin in coins) + _AFTER
    spending = _spending(coins, locktime, (to,))
    return _signed_alone(spending, coins, founder, FOUNDER)


def end(coins: Sequence[StageCoin], investor: Key, to: TxOut) -> Tx:
    """The investor takes back what is left after the expiry date."""
    locktime = max(coin.stage.expiry_at for coin in coins) + _AFTER
    spending = _spending(coins, locktime, (to,))
    return _signed_alone(spending, coins, investor, END)


def spend_with_secrets(
    coins: Sequence[StageCoin], investor: Key, revealed: Revealed, to: TxOut
) -> Tx:
    """The investor leaves without penalty, by enough of the seeders' secrets.

    The clients wait for the expiry date here too; the leaf does not ask for it, nor do we.
    """
    spending = _spending(coins, 0, (to,))
    place = FIRST_SEEDER + revealed.leaf
    secrets = tuple(reversed(revealed.secrets))
    witnesses = [
        (_signature(spending, vin, coin, investor, place), *secrets, *_reveal(coin, place))
        for vin, coin in enumerate(coins)
    ]
    return with_witnesses(spending.tx, witnesses)


def recover(
    coins: Sequence[StageCoin], keys: RecoveryKeys, outputs: Sequence[TxOut], fee_coin: OwnedCoin
) -> Tx:
    """Investor and founder together move each coin to the output with its index.

    The signatures cover only their own pair; the fee comes from a coin of the wallet behind them.
    """
    change = TxOut(fee_coin.value - _recovery_fee(len(coins)), fee_coin.key.address_script)
    inputs = (*(TxIn(c.outpoint, b"", _FINAL) for c in coins), TxIn(fee_coin.outpoint, b"", _FINAL))
    tx = Tx(2, inputs, (*outputs, change), 0)
    spending = Spending(tx, (*(coin.output for coin in coins), fee_coin.output))
    witnesses = [_recovery_witness(spending, vin, coin, keys) for vin, coin in enumerate(coins)]
    return with_witnesses(tx, [*witnesses, address_witness(spending, len(coins), fee_coin.key)])


def penalty_output(coin: StageCoin, investor_key: bytes, days: int) -> TxOut:
    """Where a recovery puts this coin."""
    return TxOut(coin.stage.value, p2wsh(penalty_script(investor_key, days)))


def release_penalty(coins: Sequence[PenaltyCoin], investor: Key, to: TxOut) -> Tx:
    """The investor takes penalty outputs whose time is over."""
    inputs = tuple(TxIn(coin.outpoint, b"", penalty_sequence(coin.days)) for coin in coins)
    scripts = [penalty_script(investor.public, coin.days) for coin in coins]
    spent = tuple(TxOut(c.value, p2wsh(s)) for c, s in zip(coins, scripts, strict=True))
    spending = Spending(Tx(2, inputs, (to,), 0), spent)
    witnesses = [
        (script_signature(spending, vin, script, investor), script)
        for vin, script in enumerate(scripts)
    ]
    return with_witnesses(spending.tx, witnesses)


def reveal(secrets: Sequence[bytes], chosen: Sequence[int]) -> Revealed:
    """The leaf that the chosen seeders (positions in the project's list) open together."""
    places = tuple(sorted(chosen))
    sets = list(combinations(range(len(secrets)), len(places)))
    return Revealed(tuple(secrets[place] for place in places), sets.index(places))


def _spending(coins: Sequence[StageCoin], locktime: int, outputs: tuple[TxOut, ...]) -> Spending:
    inputs = tuple(TxIn(coin.outpoint, b"", _LOCKTIME_ON) for coin in coins)
    return Spending(Tx(2, inputs, outputs, locktime), tuple(coin.output for coin in coins))


def _signed_alone(spending: Spending, coins: Sequence[StageCoin], key: Key, place: int) -> Tx:
    witnesses = [
        (_signature(spending, vin, coin, key, place), *_reveal(coin, place))
        for vin, coin in enumerate(coins)
    ]
    return with_witnesses(spending.tx, witnesses)


def _recovery_witness(
    spending: Spending, vin: int, coin: StageCoin, keys: RecoveryKeys
) -> tuple[bytes, ...]:
    leaf = coin.stage.stage_scripts.scripts[RECOVER]
    signatures = (
        leaf_signature(spending, vin, leaf, key, SINGLE_ANYONE)
        for key in (keys.investor, keys.founder_recovery)
    )
    secret = () if keys.secret is None else (keys.secret,)
    return (*secret, *signatures, *_reveal(coin, RECOVER))


def _signature(spending: Spending, vin: int, coin: StageCoin, key: Key, place: int) -> bytes:
    return leaf_signature(spending, vin, coin.stage.stage_scripts.scripts[place], key, ALL)


def _reveal(coin: StageCoin, place: int) -> tuple[bytes, bytes]:
    locked = coin.stage.stage_scripts
    return locked.scripts[place], locked.control_blocks[place]


def _recovery_fee(coins: int) -> int:
    return 500 + 250 * coins

"""What happens to an investment: its project is founded, its coins are claimed or recovered."""

from typing import Any

from tests.record.conftest import Founder, Invested, Ledger, World

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.actors.coin_pool import OwnedCoin
from raised_simnet.actors.stage_spends import (
    PenaltyCoin,
    RecoveryKeys,
    claim,
    penalty_output,
    recover,
    release_penalty,
)


def claimed(founder: Founder, invested: Invested, index: int = 0) -> Any:
    coins = invested.coins[index : index + 1]
    return claim(coins, founder.key, TxOut(coins[0].stage.value - 300, founder.key.address_script))


def recovered(world: World, founder: Founder, invested: Invested, fee_from: Tx) -> Any:
    keys = RecoveryKeys(invested.investor, founder.recovery)
    outputs = [penalty_output(coin, invested.investor.public, 10) for coin in invested.coins]
    fee = OwnedCoin(OutPoint(fee_from.txid, 0), 100_000, invested.investor)
    return recover(invested.coins, keys, outputs, fee)


def released(world: World, founder: Founder, invested: Invested, recovery: Tx) -> Any:
    coins = [
        PenaltyCoin(OutPoint(recovery.txid, vout), coin.stage.value, 10)
        for vout, coin in enumerate(invested.coins)
    ]
    return release_penalty(coins, invested.investor, TxOut(900_000, b"\0\x14" + bytes(20)))


async def founded(ledger: Ledger, world: World, founder: Founder) -> Any:
    await ledger.see(world.told(founder.event), world.mine(founder.found()))

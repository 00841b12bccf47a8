"""A project announced at an address that receives many payments: they cost nothing but pages."""

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import Tx, TxOut
from raised.domain.observation import HistorySeen

PAYMENTS = 60


async def test_no_proof_is_asked_for_of_payments_that_invest_nothing(writer: AsyncEngine) -> None:
    async with funded_project(coins=PAYMENTS + 10) as funded:
        script = project_script(funded.project.project_id)
        paid = [funded.wallet.pay([TxOut(1_000, script)]) for _ in range(PAYMENTS)]
        funded.world.chain.mine(paid)
        claim = funded.project.claim(funded.investments[0])
        funded.world.chain.mine([claim, funded.invest().tx])
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            claimed = funded.investments[0].coins[0].stage.value
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, claimed, 2)
            (history,) = observed.of_kind(HistorySeen)
            assert len(history.txs) == 4
            counts = funded.world.explorer.counts
            asked = sum(number for route, number in counts.items() if "proof" in route)
            assert asked == len(history.txs)
            assert await observed.is_consistent(funded.world)


async def test_a_payment_is_kept_whose_change_pays_for_an_investment(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        script = project_script(funded.project.project_id)
        other = funded.world.wallet("other", coins=1, value=1_000_000)
        payments: list[Tx] = []
        for _ in range(3):
            payments.append(other.pay([TxOut(1_000, script)]))
            funded.world.chain.mine(payments[-1:])
        invested = funded.project.invest(other, "other", 100_000).tx
        funded.world.chain.mine([invested])
        assert invested.inputs[0].outpoint.txid == payments[-1].txid
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            (history,) = observed.of_kind(HistorySeen)
            told = {placed.tx.txid for _, placed in history.txs}
            assert {tx.txid for tx in payments[1:]} | {invested.txid} <= told
            assert payments[0].txid not in told

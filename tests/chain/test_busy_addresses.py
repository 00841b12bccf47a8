"""A project announced at an address that receives many payments: they cost nothing but pages."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.chain import backlog, history
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import Tx, TxOut
from raised.domain.observation import BlockSeen, GroupProblems, HistorySeen
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.server import Explorer

PAYMENTS = 60
HISTORY = ("address/:address/txs/chain", "address/:address/txs/chain/:last")


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
            (seen,) = observed.of_kind(HistorySeen)
            assert len(seen.txs) == 4
            counts = funded.world.explorer.counts
            asked = sum(number for route, number in counts.items() if "proof" in route)
            assert asked == len(seen.txs)
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
            (seen,) = observed.of_kind(HistorySeen)
            told = {placed.tx.txid for _, placed in seen.txs}
            assert {tx.txid for tx in payments[1:]} | {invested.txid} <= told
            assert payments[0].txid not in told


async def test_blocks_are_followed_while_a_long_history_is_read(
    writer: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn ends after each page here, and the next one reads on where that ended."""
    monkeypatch.setattr(backlog, "_TURN_SECONDS", 1e-6)
    async with funded_project(coins=200) as funded:
        script = project_script(funded.project.project_id)
        paid = [funded.wallet.pay([TxOut(1_000, script)]) for _ in range(150)]
        funded.world.chain.mine(paid)
        explorer = funded.world.explorer
        explorer.faults = Faults(delay_seconds=0.2, only=HISTORY)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until(lambda: observed.tip is not None)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)
            kinds = [type(each) for each in observed.observations]
            assert kinds.index(BlockSeen) < kinds.index(HistorySeen)
            assert _pages_asked(explorer) <= 2 * 8
            assert await observed.is_consistent(funded.world)


async def test_a_long_history_is_read_on_from_who_gives_it(
    writer: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_TURN_SECONDS", 1e-6)
    async with funded_project(explorers=2, coins=PAYMENTS + 10) as funded:
        script = project_script(funded.project.project_id)
        paid = [funded.wallet.pay([TxOut(1_000, script)]) for _ in range(PAYMENTS)]
        funded.world.chain.mine(paid)
        funded.world.explorer.faults = Faults(status=500, only=HISTORY[1:])
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ProjectTotals(99_000, 0, 1)
            assert {seen.explorer for seen in observed.of_kind(HistorySeen)} == {
                funded.world.explorers[1].url
            }


async def test_a_history_that_is_too_long_is_named_and_left_alone(
    writer: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MOST_TXS", 40)
    async with funded_project(coins=PAYMENTS + 10) as funded:
        script = project_script(funded.project.project_id)
        funded.world.chain.mine(
            [funded.wallet.pay([TxOut(1_000, script)]) for _ in range(PAYMENTS)]
        )
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until(lambda: bool(_problems(observed)))
            funded.mine_investment()
            await observed.wait_until(lambda: bool(observed.of_kind(BlockSeen)))
            assert _problems(observed) == [("history_unread", funded.project.project_id)]
            assert _pages_asked(funded.world.explorer) == 2
            assert not observed.of_kind(HistorySeen)


def _pages_asked(explorer: Explorer) -> int:
    return sum(explorer.counts[route] for route in HISTORY)


def _problems(observed: ObservationLog) -> list[tuple[str, str]]:
    reports = observed.of_kind(GroupProblems)
    return [(problem.code, problem.subject) for each in reports[-1:] for problem in each.problems]

"""What waits: read once each, as much as the host has to spare, and how old the view is."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.fake_mempool import FakeMempool, MempoolReader, reader_of, unrelated_txs
from tests.rig.followed_chain import (
    FundedProject,
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.angor.watched_outputs import coins_made
from raised.domain.bitcoin.tx import Tx, Txid
from raised.domain.observation import MempoolSeen
from raised_simnet.explorer.faults import Faults


@pytest.fixture(name="funded")
async def _funded() -> AsyncIterator[FundedProject]:
    async with funded_project() as funded:
        yield funded


async def test_each_transaction_is_read_once(funded: FundedProject) -> None:
    first, second = funded.invest().tx, funded.invest().tx
    mempool = FakeMempool(first, *unrelated_txs(funded, 5))
    reader = reader_of(funded, mempool)
    view = await reader.read(100)
    assert (view.txs, view.gone, view.whole_at) == ((first,), (), 100)
    assert mempool.requests["tx"] == 6
    mempool.txs[second.txid] = second
    view = await reader.read(101)
    assert (view.txs, view.gone, view.whole_at) == ((second,), (), 101)
    assert mempool.requests == {"tx": 7, "list": 2}


async def test_a_look_costs_what_can_be_spared_and_says_how_old_the_whole_view_is(
    funded: FundedProject,
) -> None:
    tx = funded.invest().tx
    mempool = FakeMempool(*unrelated_txs(funded, 9), tx)
    reader = reader_of(funded, mempool)
    view = await reader.read(100, spare=4)
    assert view.txs == (tx,), "addresses are asked when not all can be read"
    assert view.whole_at is None
    views = [view]
    while views[-1].whole_at is None:
        before = mempool.requests["tx"] + mempool.requests["address"]
        views.append(await reader.read(100 + len(views), spare=4))
        assert mempool.requests["tx"] + mempool.requests["address"] <= before + 4
    assert views[-1].whole_at == 99 + len(views)
    assert len(views) == 3
    assert mempool.requests["tx"] <= 10


async def test_in_a_large_mempool_a_spend_of_a_stage_is_seen(funded: FundedProject) -> None:
    investment = funded.mine_investment()
    claim = funded.project.claim(investment)
    mempool = FakeMempool(*unrelated_txs(funded, 5), claim)
    mempool.others = 10_000
    reader = reader_of(funded, mempool)
    reader.watched.add_made(
        investment.tx.txid, coins_made(investment.tx, pays_project=True, spent=())
    )
    views = [await reader.read(at, spare=3) for at in range(100, 150)]
    assert [view.txs for view in views if view.txs] == [(claim,)]
    assert views[0].whole_at is None
    assert views[-1].whole_at == 100
    assert mempool.requests["list"] == 1  # a long list is not asked for at every look
    assert (await reader.read(160)).whole_at == 160
    assert mempool.requests["list"] == 2


async def test_a_huge_mempool_is_never_listed(funded: FundedProject) -> None:
    tx = funded.invest().tx
    mempool = FakeMempool(tx)
    mempool.others = 300_000
    reader = reader_of(funded, mempool)
    view = await reader.read(100)
    assert (view.txs, view.whole_at) == ((tx,), None)
    assert mempool.requests == {"address": 1}


async def test_a_child_is_known_by_its_parent_whichever_is_read_first(
    funded: FundedProject,
) -> None:
    investment = funded.invest()
    child = funded.project.claim(investment)
    mempool = FakeMempool(child)
    reader = reader_of(funded, mempool)
    assert (await reader.read(100)).txs == ()
    mempool.txs = {child.txid: child, investment.tx.txid: investment.tx}
    assert set((await reader.read(101)).txs) == {investment.tx, child}


async def test_what_waits_is_judged_again_when_its_project_is_known(funded: FundedProject) -> None:
    tx = funded.invest().tx
    mempool = FakeMempool(tx)
    reader = MempoolReader(funded, mempool)
    assert (await reader.read(100)).txs == ()
    reader.watched.add_project(funded.project.project_id)
    assert (await reader.read(101)).txs == (tx,)
    assert mempool.requests["tx"] == 1


@pytest.mark.parametrize("others", [0, 10_000, 300_000])
async def test_what_is_replaced_is_gone_and_what_replaces_it_is_there(
    funded: FundedProject, others: int
) -> None:
    old, new = funded.invest().tx, funded.invest().tx
    new = Tx(new.version, old.inputs, new.outputs, new.locktime)
    mempool = FakeMempool(old)
    mempool.others = others
    reader = reader_of(funded, mempool)
    assert (await reader.read(100)).txs == (old,)
    mempool.txs = {new.txid: new}
    view = await reader.read(200)
    assert (view.txs, view.gone) == ((new,), (old.txid,))


async def test_a_transaction_that_leaves_between_two_requests_is_passed_over(
    funded: FundedProject,
) -> None:
    mempool = FakeMempool()
    reader = reader_of(funded, mempool)
    listed = funded.invest().tx.txid

    async def txids() -> list[Txid]:
        return [listed]

    mempool.mempool_txids = txids  # type: ignore[method-assign]
    view = await reader.read(100)
    assert (view.txs, view.gone, view.whole_at) == ((), (), 100)


async def test_a_replacement_is_followed_to_the_record(
    writer: AsyncEngine, funded: FundedProject
) -> None:
    chain = funded.world.chain
    settings = replace(fast_settings(funded.world), mempool_seconds=0.01)
    async with following(settings, writer, funded.project) as observed:
        await observed.wait_until_caught_up(funded.world)
        coins = funded.wallet.take(500_000)
        outputs = funded.invest().tx.outputs[:-1]
        old, new = (
            funded.wallet.pay(outputs, coins=coins, fee_rate=fee_rate) for fee_rate in (2, 9)
        )
        chain.accept(old)
        await observed.wait_until(partial(_is_reported, observed, old))
        chain.accept(new)
        await observed.wait_until(partial(_is_reported, observed, new))
        await observed.wait_until(
            lambda: any(old.txid in view.gone for view in observed.of_kind(MempoolSeen))
        )
        chain.mine()
        await observed.wait_until_caught_up(funded.world)
        assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, 0, 2)


async def test_money_that_comes_and_goes_in_one_block_is_seen(
    writer: AsyncEngine, funded: FundedProject
) -> None:
    async with following(fast_settings(funded.world), writer, funded.project) as observed:
        await observed.wait_until_caught_up(funded.world)
        investment = funded.invest()
        funded.world.chain.mine([investment.tx, funded.project.claim(investment)])
        await observed.wait_until_caught_up(funded.world)
        claimed = investment.coins[0].stage.value
        assert await observed.totals(funded.project) == ProjectTotals(2 * 99_000, claimed, 2)
        assert await observed.is_consistent(funded.world)


def _is_reported(observed: ObservationLog, tx: Tx) -> bool:
    return any(tx in view.txs for view in observed.of_kind(MempoolSeen))


@pytest.mark.parametrize("route", ["mempool", "mempool/txids", "address/:address/txs/mempool"])
@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_a_mempool_that_cannot_be_read_stops_no_block_and_accuses_nobody(
    writer: AsyncEngine, route: str, status: int
) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        explorer.faults = Faults(status=status, only=(route,))
        settings = replace(fast_settings(funded.world), mempool_seconds=0.05)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for _ in range(3):
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
            health = observed.health(explorer)
            assert health is not None
            assert health.state == "ok"
            explorer.faults = Faults()
            waiting = funded.invest()
            funded.world.chain.accept(waiting.tx)
            await observed.wait_until(
                lambda: any(waiting.tx in view.txs for view in observed.of_kind(MempoolSeen))
            )

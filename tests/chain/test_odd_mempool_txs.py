"""Unconfirmed transactions that an explorer fails to give: the others are read all the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest
from tests.rig.fake_mempool import PLENTY, FakeMempool, reader_of, unrelated_txs
from tests.rig.followed_chain import (
    NETWORK,
    FundedProject,
    funded_project,
)

from raised.chain.block_scan import WatchSet
from raised.chain.explorer.api import SeenTx
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.mempool_watch import MempoolWatch
from raised.chain.ports import ChainRecord
from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import Txid
from raised.domain.observation import MempoolSeen, Observation
from raised.errors import SourceError, Unavailable
from raised.net.source_health import SourceHealthTracker


@pytest.fixture(name="funded")
async def _funded() -> AsyncIterator[FundedProject]:
    async with funded_project() as funded:
        yield funded


async def test_transactions_that_cannot_be_read_hide_no_others(funded: FundedProject) -> None:
    tx = funded.invest().tx
    odd = unrelated_txs(funded, 2)
    mempool = FakeMempool(*odd, tx)
    mempool.refused = {each.txid for each in odd}
    reader = reader_of(funded, mempool)
    view = await reader.read(100)
    assert (view.txs, view.whole_at) == ((tx,), None)
    assert reader.mempool.error is None
    assert {problem.subject for problem in reader.problems.report_problems()} == mempool.refused
    del mempool.txs[odd[0].txid]
    mempool.refused = set()
    await asyncio.sleep(0.01)
    assert (await reader.read(101)).whole_at == 101
    assert not reader.problems.report_problems()


async def test_what_was_read_is_reported_when_many_others_cannot_be_read(
    funded: FundedProject,
) -> None:
    tx = funded.invest().tx
    mempool = FakeMempool(*unrelated_txs(funded, 9), tx)
    mempool.refused = set(mempool.txs) - {tx.txid}
    reader = reader_of(funded, mempool)
    views: list[MempoolSeen] = []
    errors = 0
    for at in range(100, 110):
        before = mempool.requests["tx"]
        views.append(await reader.read(at))
        errors += reader.mempool.error is not None
        assert mempool.requests["tx"] - before <= 3 + 1 + 2
    assert [view.txs for view in views if view.txs] == [(tx,)]
    assert errors >= 2
    assert all(view.whole_at is None for view in views)


async def test_one_that_cannot_be_looked_for_does_not_keep_the_others_from_being_gone(
    funded: FundedProject,
) -> None:
    odd, old = funded.invest().tx, funded.invest().tx
    mempool = FakeMempool()
    mempool.others = 300_000
    reader = reader_of(funded, mempool)
    reader.known = {odd.txid, old.txid}
    mempool.refused = {odd.txid}
    assert (await reader.read(101)).gone == (old.txid,)
    assert [problem.subject for problem in reader.problems.report_problems()] == [odd.txid]
    mempool.refused = set()
    await asyncio.sleep(0.01)
    assert (await reader.read(102)).gone == (odd.txid,)
    await reader.read(103)
    assert not reader.problems.report_problems()


async def test_a_transaction_that_keeps_us_waiting_is_not_asked_for_first_again(
    funded: FundedProject,
) -> None:
    odd, tx = unrelated_txs(funded, 1)[0], funded.invest().tx
    mempool = FakeMempool(odd)
    reader = reader_of(funded, mempool)
    asked: list[Txid] = []
    waits = asyncio.Event()

    async def tx_or_nothing(txid: Txid) -> SeenTx | None:
        asked.append(txid)
        if txid == odd.txid:
            waits.set()
            await asyncio.Event().wait()
        return SeenTx(mempool.txs[txid], (), None)

    mempool.tx = tx_or_nothing  # type: ignore[method-assign]
    for at in (100, 101):
        waits.clear()
        look = asyncio.create_task(reader.read(at))
        await waits.wait()
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        assert [problem.subject for problem in reader.problems.report_problems()] == [odd.txid]
        mempool.txs[tx.txid] = tx
        await asyncio.sleep(0.01)
    assert asked == [odd.txid, tx.txid, odd.txid]


class FakePeer:
    """A sound explorer, asked as often as one likes."""

    name = "pool"
    http = SimpleNamespace(bucket=SimpleNamespace(available=lambda: PLENTY))

    def __init__(self, explorer: FakeMempool) -> None:
        self.explorer = explorer

    async def error_of_host(self, error: SourceError) -> None:
        del error


async def test_a_project_that_is_not_active_any_more_has_no_problem(
    funded: FundedProject,
) -> None:
    mempool = FakeMempool()
    mempool.others = 300_000
    mempool.unconfirmed = _refuse  # type: ignore[method-assign]
    active = [funded.project.project_id]
    problems = SourceHealthTracker("explorers")
    watched = WatchSet(project_script)
    test = partial(founding_of, network=NETWORK)
    watch = MempoolWatch(cast("ChainRecord", FakeRecord(active)), watched, test, problems, 0.001)
    peers = [cast("ExplorerPeer", FakePeer(mempool))]
    outbox: asyncio.Queue[Observation] = asyncio.Queue()
    await watch.look(peers, "tip", outbox)
    assert [problem.subject for problem in problems.report_problems()] == active
    active.clear()
    await asyncio.sleep(0.01)
    await watch.look(peers, "tip", outbox)
    assert not problems.report_problems()
    assert outbox.qsize() == 1


class FakeRecord:
    """Knows these active projects and no unconfirmed transaction."""

    def __init__(self, active: Sequence[str]) -> None:
        self.active = active

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        return tuple(self.active[:limit])

    async def unconfirmed(self) -> tuple[Txid, ...]:
        return ()


async def _refuse(script: bytes) -> tuple[SeenTx, ...]:
    raise Unavailable("pool", f"answered 500 for {script.hex()}", "server_error")

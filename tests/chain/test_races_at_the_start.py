"""The chain changes between any two requests of a very first look, histories included."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
from tests.chain.test_races import OF_A_RACE, UNFORGIVING
from tests.rig.followed_chain import NETWORK, FundedProject, fast_settings, funded_project
from tests.rig.intercepting_transport import InterceptingTransport
from tests.rig.memory_chain_record import MemoryChainRecord

from raised.chain.source import ChainSource
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.observation import Observation


class RequestTrigger:
    """Something that happens just before the request of this number is answered."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self.between = InterceptingTransport()
        self.between.before = self._trigger
        self.triggered = False
        self._number = number
        self._action = action

    def _trigger(self, requests: int) -> None:
        if requests == self._number:
            self._action()
            self.triggered = True


@asynccontextmanager
async def following_in_memory(
    funded: FundedProject,
    chain_record: MemoryChainRecord,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[None]:
    """The source runs inside, with a record in memory."""
    settings = fast_settings(funded.world)
    settings = replace(
        settings,
        explorers=tuple(
            replace(explorer, rate_limit=UNFORGIVING) for explorer in settings.explorers
        ),
        poll_seconds=0.005,
        health_seconds=0.01,
        mempool_seconds=1e-6,
        finality=20,
    )
    source = ChainSource(settings, NETWORK, chain_record, transport)
    outbox: asyncio.Queue[Observation] = asyncio.Queue(8)

    async def write() -> None:
        while True:
            chain_record.apply(await outbox.get())
            outbox.task_done()

    tasks = [asyncio.create_task(source.follow(outbox)), asyncio.create_task(write())]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await source.close()


async def test_a_reorg_in_a_first_look_is_no_lie_and_loses_nothing() -> None:
    async with funded_project(explorers=2) as funded:
        chain = funded.world.chain
        base = chain.height
        investment = funded.invest()
        claim: Tx | None = None
        number, triggered = 0, True
        while triggered:
            number += 1
            if chain.height > base:
                chain.reorg(chain.height - base, keep=False)
                base = chain.height
            chain.mine([investment.tx])
            claim = claim or funded.project.claim(investment)
            chain.mine([claim])
            chain_record = MemoryChainRecord(
                {"scriptpubkey": project_script(funded.project.project_id).hex()}
            )
            trigger = RequestTrigger(number, lambda: _replace(funded, 1 + number % 4))  # noqa: B023
            async with following_in_memory(funded, chain_record, trigger.between):
                await chain_record.wait_until(lambda: _is_recorded(funded, chain_record))  # noqa: B023
                count = len(chain_record.observations)
                await chain_record.wait_until(lambda: len(chain_record.observations) > count + 4)  # noqa: B023
                triggered = trigger.triggered
                assert _is_recorded(funded, chain_record)
            for health in chain_record.health.values():
                assert set(health.errors) <= OF_A_RACE, (number, health)
                assert health.state == "ok", (number, health)
    assert number > 30


def _replace(funded: FundedProject, depth: int) -> None:
    chain = funded.world.chain
    lowest = chain.block_at(chain.height - depth + 1)
    chain.reorg(depth, [[], lowest.txs[1:]], keep=depth % 2 == 0)


def _is_recorded(funded: FundedProject, chain_record: MemoryChainRecord) -> bool:
    """Whether the record has exactly the project's transactions of the best chain."""
    chain = funded.world.chain
    if not chain_record.indexed or chain_record.chain[-1].hash != chain.tip_hash:
        return False
    return {txid: ref.hash for txid, (ref, _, _) in chain_record.placed.items()} == _in_best_chain(
        funded
    )


def _in_best_chain(funded: FundedProject) -> dict[Txid, str]:
    chain = funded.world.chain
    script = project_script(funded.project.project_id)
    watched: set[OutPoint] = set()
    block_hashes: dict[Txid, str] = {}
    for height in range(chain.height + 1):
        stored = chain.block_at(height)
        for tx in stored.txs:
            pays = any(output.script_pubkey == script for output in tx.outputs)
            if pays or any(txin.outpoint in watched for txin in tx.inputs):
                block_hashes[tx.txid] = stored.hash
                watched |= {OutPoint(tx.txid, vout) for vout in range(2, 5) if pays}
    return block_hashes

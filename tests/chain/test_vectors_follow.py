"""The whole chain source before recorded explorers: what a record would conclude."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from tests.rig.memory_chain_record import MemoryChainRecord

from raised.chain.settings import ChainSettings, ExplorerSettings, RateLimit
from raised.chain.source import ChainSource
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.tx import OutPoint
from raised.domain.observation import (
    BlockSeen,
    Observation,
    RolledBack,
)

UNLIMITED: Final = RateLimit(per_second=1e6, burst=1000, base_seconds=0.001, cap_seconds=0.002)
CLAIM: Final = "founder_claim_inv0_inv1_stage0"
END: Final = "end_of_project_inv0_stage0 (conflicts with the claim)"


Follow = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def chain_record(story: Any) -> MemoryChainRecord:
    return MemoryChainRecord(story["addresses"]["project"])


@pytest.fixture
def follow(chain_record: MemoryChainRecord) -> Follow:
    """The source before these explorers, by host name, with a record in memory."""

    @asynccontextmanager
    async def following(**explorers: Any) -> AsyncIterator[None]:
        settings = ChainSettings(
            tuple(
                ExplorerSettings(f"http://{name}/api", rate_limit=UNLIMITED) for name in explorers
            ),
            poll_seconds=0.01,
            mempool_seconds=0.01,
            health_seconds=0.01,
            fork_wait_seconds=0.05,
        )
        transport = httpx.MockTransport(lambda request: explorers[request.url.host].answer(request))
        source = ChainSource(settings, network_named("regtest"), chain_record, transport)
        outbox: asyncio.Queue[Observation] = asyncio.Queue(8)
        tasks = [asyncio.create_task(source.follow(outbox)), asyncio.create_task(_take(outbox))]
        try:
            yield
            for task in tasks:
                assert not task.done(), task.exception()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await source.close()

    async def _take(outbox: asyncio.Queue[Observation]) -> None:
        while True:
            chain_record.apply(await outbox.get())
            outbox.task_done()

    return following


@pytest.mark.parametrize("snapshot", ["a_s1_tip107", "b_s1_tip107"])
async def test_a_first_look_tells_the_whole_story(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow, snapshot: str
) -> None:
    names = story["transactions"]
    async with follow(block=recorded(snapshot)):
        await chain_record.wait_until(
            lambda: chain_record.indexed and len(chain_record.waiting) == 4
        )
    assert chain_record.chain[-1].hash == story["branches"]["a_tip"]
    investments = {names[f"investment_{number:02}"] for number in range(28)}
    others = {names[name] for name in ("founder_project", "recover_inv3", CLAIM)}
    assert chain_record.placed.keys() == investments | others
    assert set(chain_record.waiting) == set(story["arrival_order_s1"])
    assert chain_record.spender(OutPoint(names["investment_00"], 2)) == names[CLAIM]
    assert chain_record.spender(OutPoint(names["investment_01"], 2)) == names[CLAIM]
    assert not chain_record.of_kinds(RolledBack, BlockSeen)


async def test_a_reorg_takes_the_claim_away(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    names, branches = story["transactions"], story["branches"]
    explorer = recorded("a_s1_tip107")
    async with follow(block=explorer):
        await chain_record.wait_until(
            lambda: chain_record.indexed and len(chain_record.waiting) == 4
        )
        explorer.show("a_s3_reorged_tip108")
        await chain_record.wait_until(lambda: names[CLAIM] in chain_record.gone)
        await chain_record.wait_until(lambda: set(chain_record.waiting) == {names["investment_30"]})
    back, *blocks = chain_record.of_kinds(RolledBack, BlockSeen)
    assert isinstance(back, RolledBack)
    assert (back.to.height, back.tip.hash) == (branches["fork_height"], branches["b_tip"])
    assert [
        (type(block), block.block.hash) for block in blocks if isinstance(block, BlockSeen)
    ] == [
        (BlockSeen, branches["b_107"]),
        (BlockSeen, branches["b_tip"]),
    ]
    conclude_s3(chain_record, names)


def conclude_s3(chain_record: MemoryChainRecord, names: dict[str, str]) -> None:
    """What the vectors say that a client must conclude."""
    assert chain_record.spender(OutPoint(names["investment_00"], 2)) == names[END]
    assert chain_record.spender(OutPoint(names["investment_01"], 2)) is None
    assert names[CLAIM] not in chain_record.placed
    assert names[CLAIM] not in chain_record.waiting
    for name in ("investment_28", "investment_29", "penalty_release_inv3"):
        assert names[name] in chain_record.placed


async def test_in_a_large_mempool_a_claim_is_gone_when_its_coin_is_not_its_own(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    """Then only addresses are asked, and the server still answers for the claim itself."""
    names = story["transactions"]
    explorer = recorded("a_s1_tip107")
    explorer.changed["/mempool"] = {
        "status": 200,
        "type": "application/json",
        "json": {"count": 100_000},
    }
    async with follow(block=explorer):
        await chain_record.wait_until(
            lambda: chain_record.indexed and len(chain_record.waiting) == 3
        )
        explorer.show("a_s3_reorged_tip108")
        await chain_record.wait_until(lambda: names[CLAIM] in chain_record.gone)
    assert "/mempool/txids" not in explorer.paths
    conclude_s3(chain_record, names)


async def test_a_reorg_while_nobody_looked_is_seen_after_a_restart(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    """Even when the record has one block alone; median times do not begin anew either."""
    names = story["transactions"]
    async with follow(block=recorded("a_s1_tip107")):
        await chain_record.wait_until(
            lambda: chain_record.indexed and len(chain_record.waiting) == 4
        )
    del chain_record.chain[:-1]
    async with follow(block=recorded("a_s3_reorged_tip108")):
        await chain_record.wait_until(lambda: names[CLAIM] in chain_record.gone)
    assert [block.height for block in chain_record.chain if block.median_time is None] == []
    conclude_s3(chain_record, names)


async def test_two_servers_on_two_branches_disagree_until_one_has_more_work(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    names = story["transactions"]
    first, second = recorded("a_s1_tip107"), recorded("a_s2_other_tip107")

    def opponents(name: str) -> Any:
        health = chain_record.health.get(f"http://{name}/api")
        return health and health.facts["disagrees_with"]

    async with follow(first=first, second=second):
        await chain_record.wait_until(
            lambda: chain_record.indexed and opponents("first") == ("http://second/api",)
        )
        assert opponents("second") == ("http://first/api",)
        assert not chain_record.of_kinds(RolledBack)
        first.show("a_s3_reorged_tip108")
        await chain_record.wait_until(lambda: names[CLAIM] in chain_record.gone)
        await chain_record.wait_until(lambda: opponents("first") == opponents("second") == ())
    assert len(chain_record.of_kinds(RolledBack)) == 1
    conclude_s3(chain_record, names)


async def test_an_explorer_on_a_weaker_branch_keeps_nobody_from_the_one_that_shows_ours(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    """Nor is it believed with time, as long as another one shows ours."""
    names, ours = story["transactions"], recorded("a_s3_reorged_tip108")
    async with follow(ours=ours):
        await chain_record.wait_until(lambda: bool(chain_record.chain))
    chain_record.indexed = False
    chain_record.waiting.clear()
    async with follow(weaker=recorded("a_s1_tip107"), ours=ours):
        await chain_record.wait_until(lambda: set(chain_record.waiting) == {names["investment_30"]})
        await chain_record.wait_until(lambda: chain_record.indexed)
        count = len(chain_record.observations)
        await chain_record.wait_until(lambda: len(chain_record.observations) > count + 40)
    assert not chain_record.of_kinds(RolledBack)
    conclude_s3(chain_record, names)


async def test_an_explorer_far_behind_is_no_deep_reorg(
    recorded: Any, story: Any, chain_record: MemoryChainRecord, follow: Follow
) -> None:
    """It may be reading its chain anew; all that we keep is above its tip."""
    low = story["blocks"][60]
    behind, whole = recorded("a_s1_tip107"), recorded("a_s1_tip107")
    text = {"status": 200, "type": "text/plain", "text": low["hash"]}
    page = {"blocks": [block["hash"] for block in reversed(story["blocks"][51:61])]}
    behind.changed["/blocks/tip/hash"] = text
    behind.changed["/blocks"] = {"status": 200, "type": "application/json", **page}
    for height in range(61, 109):
        gone = {"status": 404, "type": "text/plain", "text": "Block not found"}
        behind.changed[f"/block-height/{height}"] = gone
        behind.changed[f"/blocks/{height}"] = gone
    async with follow(whole=whole, behind=behind):
        await chain_record.wait_until(
            lambda: chain_record.indexed and "http://behind/api" in chain_record.health
        )
        count = len(chain_record.observations)
        await chain_record.wait_until(lambda: len(chain_record.observations) > count + 40)
    assert chain_record.health["http://behind/api"].state != "ok"
    assert chain_record.health["http://whole/api"].state == "ok"

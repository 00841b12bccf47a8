"""Whatever is odd about some projects: the others are read, the odd ones named, and all read later.

In virtual time, on explorers of the simnet that are asked without a network.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rig import virtual_time
from tests.rig.direct_transport import DirectTransport
from tests.rig.followed_chain import NETWORK
from tests.rig.memory_projects_record import MemoryProjectsRecord
from tests.rig.single_project import SingleProject

from raised.chain.settings import ChainSettings, ExplorerSettings
from raised.chain.source import ChainSource
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.bech32 import address
from raised.domain.observation import Observation
from raised_simnet.world import World

PROJECTS: Final = 4
POLL_SECONDS: Final = 20.0
SICK_SECONDS: Final = 300
KINDS: Final = ["500", "429", "403", "404", "501", "html", "object", "empty", "cut", "long", "slow"]
PLACES: Final = ("address", "count", "page", "transactions")


@dataclass(frozen=True)
class Fault:
    """What one explorer does with the questions about one project.

    `place`: its address at all, the count of its transactions, the pages of its history, or its
    transactions and their proofs.
    """

    explorer: int
    project: int
    place: str
    kind: str


@dataclass(frozen=True)
class Scene:
    """Projects on a chain: their ids and addresses, and the transactions of each."""

    world: World
    projects: Sequence[str]
    addresses: Sequence[str]
    txids: Sequence[frozenset[str]]


FAULTS: Final = st.builds(
    Fault,
    st.integers(0, 1),
    st.integers(0, PROJECTS - 1),
    st.sampled_from(PLACES),
    st.sampled_from(KINDS),
)


class OddTransport(DirectTransport):
    """Explorers with these faults."""

    def __init__(self, scene: Scene, explorers: int, faults: Sequence[Fault]) -> None:
        super().__init__(scene.world.explorers[:explorers])
        self.faults = faults
        self.requests = 0
        self._scene = scene
        self._ports = [httpx.URL(explorer.url).port for explorer in scene.world.explorers]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += not request.url.path.endswith("/blocks/tip/hash")
        fault = next((fault for fault in self.faults if self._strikes(fault, request)), None)
        response = await super().handle_async_request(request)
        return response if fault is None else await _instead(fault.kind, response)

    def _strikes(self, fault: Fault, request: httpx.Request) -> bool:
        path = request.url.path
        if request.url.port != self._ports[fault.explorer]:
            return False
        if fault.place == "transactions":
            return any(txid in path for txid in self._scene.txids[fault.project]) and "/tx/" in path
        if fault.place == "count":
            return path.endswith(self._scene.addresses[fault.project])
        is_about = self._scene.addresses[fault.project] in path
        return is_about and (fault.place == "address" or "/txs/chain" in path)


async def _instead(kind: str, response: httpx.Response) -> httpx.Response:
    match kind:
        case "html":
            return httpx.Response(200, text="<html>Just a moment</html>")
        case "object":
            return httpx.Response(200, json={"unexpected": [1, 2, 3]})
        case "empty":
            return httpx.Response(200, json=[])
        case "cut":
            raise httpx.ReadError("the connection broke")
        case "long":
            return httpx.Response(200, content=b" " * 100_000 + response.content)
        case "slow":
            await asyncio.sleep(40)
            raise httpx.ReadTimeout("no answer")
        case _:
            return httpx.Response(int(kind), text="trouble")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A chain with a few projects, behind two explorers."""
    with asyncio.Runner() as runner:
        world = World(explorers=2, relays=0)
        runner.run(world.__aenter__())
        try:
            yield _scene(world)
        finally:
            runner.run(world.__aexit__(None, None, None))


def _scene(world: World) -> Scene:
    projects = [SingleProject(name=f"project {number}") for number in range(PROJECTS)]
    wallet = world.wallet("actors", coins=5 * PROJECTS, value=1_000_000)
    txids: list[frozenset[str]] = []
    for number, project in enumerate(projects):
        investments = [project.invest(wallet, str(who)) for who in range(1 + number)]
        world.chain.mine([project.found(wallet), *(made.tx for made in investments)])
        claim = project.claim(investments[0])
        world.chain.mine([claim])
        own = [tx.txid for tx in world.chain.block_at(world.chain.height - 1).txs[1:]]
        txids.append(frozenset([*own, claim.txid]))
    world.chain.mine()
    ids = [project.project_id for project in projects]
    addresses = [address("bcrt", project_script(project_id)) or "" for project_id in ids]
    return Scene(world, ids, addresses, txids)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.integers(1, 2), st.lists(FAULTS, min_size=1, max_size=4))
def test_what_is_odd_stops_nothing_else_and_is_read_when_it_heals(
    scene: Scene, explorers: int, faults: list[Fault]
) -> None:
    virtual_time.run(_follow(scene, explorers, faults))


async def _follow(scene: Scene, explorers: int, faults: Sequence[Fault]) -> None:
    transport = OddTransport(scene, explorers, faults)
    record = MemoryProjectsRecord(scene.projects)
    urls = [explorer.url for explorer in scene.world.explorers[:explorers]]
    source = ChainSource(
        ChainSettings(
            tuple(ExplorerSettings(url, page_bytes=60_000) for url in urls),
            poll_seconds=POLL_SECONDS,
            mempool_seconds=1e6,
        ),
        NETWORK,
        record,
        transport,
    )
    outbox: asyncio.Queue[Observation] = asyncio.Queue()
    tasks = [
        asyncio.create_task(source.follow(outbox)),
        asyncio.create_task(_apply(record, outbox)),
    ]
    for explorer in scene.world.explorers:
        explorer.view.lag = 1
    await asyncio.sleep(SICK_SECONDS)
    for explorer in scene.world.explorers:
        explorer.view.lag = 0
    await asyncio.sleep(60)
    try:
        _check_sick(scene, record, explorers, faults)
        assert transport.requests < _most_requests(explorers, faults)
        transport.faults = ()
        await asyncio.sleep(3 * SICK_SECONDS)
        assert record.read == set(scene.projects)
        assert record.txids == frozenset().union(*scene.txids)
        assert not [problem for problem in record.problems if problem.code.startswith("history")]
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await source.close()


def _check_sick(
    scene: Scene, record: MemoryProjectsRecord, explorers: int, faults: Sequence[Fault]
) -> None:
    assert record.tip is not None
    assert record.tip.hash == scene.world.chain.tip_hash, "blocks go on"
    assert {health.state for health in record.health.values()} <= {"ok", "degraded"}
    sound = {
        project_id
        for number, project_id in enumerate(scene.projects)
        if {fault.explorer for fault in faults if fault.project == number} < set(range(explorers))
    }
    assert record.read >= sound, "what one explorer gives was read"
    codes = {"history_unread", "history_short"}
    named = {problem.subject for problem in record.problems if problem.code in codes}
    assert named == set(scene.projects) - record.read


def _most_requests(explorers: int, faults: Sequence[Fault]) -> int:
    """All projects once from each explorer, and a dozen tries of each question that fails."""
    once = explorers * sum(4 * (2 + number) + 12 for number in range(PROJECTS)) + 60
    return once + 12 * explorers * 12 * len({fault.project for fault in faults})


async def _apply(record: MemoryProjectsRecord, outbox: asyncio.Queue[Observation]) -> None:
    while True:
        record.apply(await outbox.get())
        outbox.task_done()

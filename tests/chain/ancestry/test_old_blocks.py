"""What one explorer invents of old blocks: it counts only in a block of ours, with its work."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Shown, Stage, following, hurried, staged
from tests.rig.lying_explorer import (
    Liar,
    elsewhere,
    ground,
    with_forged_leaf,
    with_work,
    without_work,
)
from tests.rig.rewritten_history import FAR, short_sighted
from tests.rig.single_project import Venture

from raised.chain.ancestry.disputes import Disputes
from raised.chain.ancestry.linker import Anchors
from raised.chain.explorer.esplora import Esplora
from raised.chain.header_chain import HeaderChain
from raised.domain.bitcoin.block import Header, meets_target
from raised.domain.bitcoin.tx import Tx
from raised.domain.observation import HistorySeen
from raised.errors import BadData
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.chain_view import ChainView

Meet = Callable[..., AbstractAsyncContextManager[Esplora]]
ONE = Shown(99_000, 0, 1)
OLD = 125  # a height far below what is followed, above the investment
ANOTHER = Venture("another")


def _founding(stage: Stage) -> Tx:
    return ground(ANOTHER.found(stage.wallet))


def _investment(stage: Stage) -> Tx:
    return ground(stage.invest().tx)


def _claim(stage: Stage) -> Tx:
    return stage.venture.claim(stage.stakes[0])


FACTS: dict[str, tuple[Callable[[Stage], Tx], Venture, Shown]] = {
    "founding": (_founding, ANOTHER, Shown(0, 0, 0)),
    "investment": (_investment, Venture(), ONE),
    "claim": (_claim, Venture(), ONE),
}
BLOCKS: dict[str, tuple[Callable[[RegtestChain, int, Tx], StoredBlock], str]] = {
    "no work": (without_work, "easy"),
    "work": (with_work, "foreign_block"),
    "a forged leaf": (with_forged_leaf, "forged_proof"),
}
# The id of a claim cannot be chosen without its signature, so it stands in no forged leaf.
LIES = [
    (fact, block)
    for fact in FACTS
    for block in BLOCKS
    if (fact, block) != ("claim", "a forged leaf")
]


def _lie(stage: Stage, fact: str, block: str) -> Liar:
    tx = FACTS[fact][0](stage)
    invented = BLOCKS[block][0](stage.world.chain, OLD, tx)
    return Liar(stage.world.chain, invented, tx.txid)


@pytest.mark.parametrize(("fact", "block"), LIES)
async def test_a_single_explorer_cannot_invent_the_past(
    writer: AsyncEngine, fact: str, block: str
) -> None:
    _, venture, right = FACTS[fact]
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        explorer = stage.world.explorer
        explorer.view = _lie(stage, fact, block)
        async with following(short_sighted(stage), writer, venture) as follower:
            await follower.named(explorer, BLOCKS[block][1])
            assert not follower.of(HistorySeen)
            explorer.view = ChainView(stage.world.chain)
            await follower.caught_up(stage.world)
            assert await follower.shown(venture) == right
            assert await follower.is_sound(stage.world)


@pytest.mark.parametrize("block", ["no work", "a forged leaf"])
async def test_a_single_explorer_must_show_work_and_depth_however_old_the_block(
    writer: AsyncEngine, block: str
) -> None:
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        explorer = stage.world.explorer
        explorer.view = _lie(stage, "investment", block)
        settings = short_sighted(stage, patient=False)
        async with following(settings, writer, stage.venture) as follower:
            await follower.named(explorer, BLOCKS[block][1])
            assert not follower.of(HistorySeen)


async def test_a_transaction_said_to_be_older_than_it_is_counts_nowhere(
    writer: AsyncEngine,
) -> None:
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        explorer, txid = stage.world.explorer, stage.stakes[0].tx.txid
        moved = elsewhere(stage.world.chain, txid, OLD - 20)
        explorer.view = Liar(stage.world.chain, moved, txid)
        async with following(short_sighted(stage), writer, stage.venture) as follower:
            await follower.named(explorer, "foreign_block")
            assert not follower.of(HistorySeen)


async def test_a_lie_about_a_block_that_is_followed_counts_nowhere(writer: AsyncEngine) -> None:
    async with staged() as stage:
        explorer, stake = stage.world.explorer, stage.invest()
        invented = with_work(stage.world.chain, stage.world.chain.height, stake.tx)
        explorer.view = Liar(stage.world.chain, invented, stake.tx.txid)
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.named(explorer, "wrong_proof")
            assert not follower.of(HistorySeen)


@pytest.mark.parametrize(("network", "counts"), [("regtest", True), ("main", False)])
async def test_a_block_counts_when_it_is_no_easier_than_its_network_allows(
    meet: Meet, network: str, counts: bool
) -> None:
    headers = (Header(1, "00" * 32, "11" * 32, 0, 0x207FFFFF, nonce) for nonce in range(100))
    header = next(one for one in headers if meets_target(one))
    anchors = Anchors((), network, Disputes())
    anchors.stand_on(HeaderChain(0, [header]))
    async with meet({}) as explorer:
        if counts:
            await anchors.hold(explorer, [(0, header)])
            return
        with pytest.raises(BadData) as caught:
            await anchors.hold(explorer, [(0, header)])
        assert caught.value.code == "easy"

"""What an explorer says of old blocks: it counts only when the block is one of our chain."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.chain.follower import HURRY, Follower, Shown, Stage, following, hurried, staged
from tests.chain.liar import Liar, elsewhere, ground, with_forged_leaf, with_work, without_work

from raised.chain.settings import ChainSettings
from raised.domain.observation import HistorySeen, SourceHealth
from raised.domain.tx import Tx
from raised_simnet.archive import StoredBlock
from raised_simnet.chain import RegtestChain
from raised_simnet.explorer import Explorer
from raised_simnet.venture import Venture
from raised_simnet.view import ChainView

ONE = Shown(99_000, 0, 1)
FAR = 150  # blocks: more pages of headers than are read by the way
OLD = 125  # a height far below what is followed, above the investment
ANOTHER = Venture("another")


def _settings(stage: Stage, *, patient: bool = True) -> ChainSettings:
    """A short end of the chain is followed.

    Explorers are said to be slow, and are not: headers take a while, or, if not `patient`, more
    time than they are worth.
    """
    settings = replace(hurried(stage.world), finality=15)
    slow = replace(HURRY, per_second=1.0 if patient else 0.001)
    explorers = tuple(replace(one, pace=slow) for one in settings.explorers)
    return replace(settings, explorers=explorers)


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


def _lie(stage: Stage, fact: str, block: str, *, names: bool = False) -> Liar:
    tx = FACTS[fact][0](stage)
    invented = BLOCKS[block][0](stage.world.chain, OLD, tx)
    return Liar(stage.world.chain, invented, tx.txid, names=names)


@pytest.mark.parametrize(("fact", "block"), LIES)
async def test_a_single_explorer_cannot_invent_the_past(
    writer: AsyncEngine, fact: str, block: str
) -> None:
    _, venture, right = FACTS[fact]
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        explorer = stage.world.explorer
        explorer.view = _lie(stage, fact, block)
        async with following(_settings(stage), writer, venture) as follower:
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
        settings = _settings(stage, patient=False)
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
        async with following(_settings(stage), writer, stage.venture) as follower:
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


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("names", [True, False])
async def test_beside_an_honest_explorer_a_lie_costs_the_liar_alone(
    writer: AsyncEngine, liar: int, names: bool, patient: bool
) -> None:
    """Whichever is read from; whether or not the liar also names the block when it is asked."""
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        lying, honest = stage.world.explorers[liar], stage.world.explorers[1 - liar]
        lying.view = _lie(stage, "investment", "work", names=names)
        settings = _settings(stage, patient=patient)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert await follower.is_sound(stage.world)
            assert {one.explorer for one in follower.of(HistorySeen)} == {honest.url}
            if liar == 0:
                await follower.named(lying, "foreign_block")
            assert not _blamed(follower, honest)


async def test_who_contradicts_itself_about_an_old_block_is_named(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        honest, lying = stage.world.explorers
        lying.view = _witness(stage)
        async with following(_settings(stage), writer, stage.venture) as follower:
            await follower.named(lying, "foreign_block")
            await follower.until(lambda: _opponents(follower, lying) == (honest.url,))
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert not _blamed(follower, honest)
            await follower.until(lambda: _state(follower, honest) == "ok")


async def test_nothing_is_committed_while_nobody_can_say_who_is_right(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        honest, lying = stage.world.explorers
        lying.view = view = _witness(stage)
        view.silent = range(_height(stage) + 1, stage.world.chain.height - 40)
        settings = _settings(stage, patient=False)
        async with following(settings, writer, stage.venture) as follower:
            await follower.named(honest, "disputed")
            await follower.until(lambda: _opponents(follower, honest) == (lying.url,))
            assert not follower.of(HistorySeen)


async def test_who_is_contradicted_can_prove_itself(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        honest, lying = stage.world.explorers
        lying.view = view = _witness(stage)
        view.silent = range(_height(stage) + 1, stage.world.chain.height - 40)
        async with following(_settings(stage), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert {one.explorer for one in follower.of(HistorySeen)} == {honest.url}


def _witness(stage: Stage) -> Liar:
    """One that says of the investment's height that another block is there."""
    height = _height(stage)
    other = stage.invest()
    invented = with_work(stage.world.chain, height, other.tx)
    return Liar(stage.world.chain, invented, other.tx.txid, names=True)


async def test_a_single_explorer_shows_headers_down_to_an_old_project(writer: AsyncEngine) -> None:
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        explorer = stage.world.explorer
        async with following(_settings(stage), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert follower.of(HistorySeen)[0].explorer == explorer.url
            pages = explorer.counts["blocks/:start"]
            assert FAR // 10 - 2 <= pages <= FAR // 10 + 8


async def test_where_headers_are_too_many_a_single_explorer_is_believed_and_the_log_says_so(
    writer: AsyncEngine,
) -> None:
    async with staged() as stage:
        stage.world.chain.mine_many(FAR)
        settings = _settings(stage, patient=False)
        with capture_logs() as logs:
            async with following(settings, writer, stage.venture) as follower:
                await follower.caught_up(stage.world)
                assert await follower.shown(stage.venture) == ONE
        said = [one for one in logs if one["event"] == "old blocks are believed on one word"]
        assert said[0]["explorer"] == stage.world.explorer.url
        assert said[0]["blocks"] == 2


async def test_a_second_explorer_is_asked_once_for_each_old_block(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.mine_investment()
        stage.world.chain.mine_many(FAR)
        settings = _settings(stage, patient=False)
        async with following(settings, writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == Shown(198_000, 0, 2)
            (history,) = follower.of(HistorySeen)
            other = next(one for one in stage.world.explorers if one.url != history.explorer)
            old = [path for path in other.asked if path in _heights(history)]
            assert sorted(old) == sorted(_heights(history))


def _height(stage: Stage) -> int:
    place = ChainView(stage.world.chain).place(stage.stakes[0].tx.txid)
    assert place is not None
    return place.stored.height


def _heights(history: HistorySeen) -> set[str]:
    return {f"/block-height/{block.height}" for block, _ in history.txs}


def _state(follower: Follower, explorer: Explorer) -> str | None:
    health = follower.health(explorer)
    return health.state if health else None


def _opponents(follower: Follower, explorer: Explorer) -> object:
    health = follower.health(explorer)
    return health.facts["disagrees_with"] if health else ()


def _blamed(follower: Follower, explorer: Explorer) -> bool:
    told = (one for one in follower.of(SourceHealth) if one.name == explorer.url)
    return any("foreign_block" in one.errors for one in told)

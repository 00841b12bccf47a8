"""Explorers that fail or lie: nothing wrong is observed, nothing right is lost, they are named."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Follower, Shown, Stage, following, hurried, staged

from raised.domain.bitcoin.tx import Tx
from raised.domain.observation import BlockSeen, HistorySeen, RolledBack
from raised_simnet.explorer.faults import BadBlock, Faults, altered_witness
from raised_simnet.explorer.server import Explorer

ONE = Shown(99_000, 0, 1)
TWO = Shown(198_000, 0, 2)
FAULTS: dict[str, tuple[Callable[[], Faults], str]] = {
    "500": (lambda: Faults(status=500), "retry"),
    "429": (lambda: Faults(status=429), "rate_limited"),
    "html": (lambda: Faults(html=True), "shape"),
    "cut off": (lambda: Faults(cut=True), "unreachable"),
    "another block": (lambda: Faults(bad_block=BadBlock.OTHER), "wrong_block"),
    "a block that does not hash": (lambda: Faults(bad_block=BadBlock.HEADER), "wrong_block"),
    "a transaction less": (lambda: Faults(bad_block=BadBlock.TRANSACTION), "wrong_block"),
    "another witness": (lambda: Faults(bad_block=BadBlock.WITNESS), "wrong_block"),
}


@pytest.mark.parametrize("what", FAULTS)
async def test_what_a_sick_explorer_says_is_not_believed(writer: AsyncEngine, what: str) -> None:
    make, code = FAULTS[what]
    async with staged() as stage:
        explorer = stage.world.explorer
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            explorer.faults = make()
            stage.mine_investment()
            await follower.named(explorer, code)
            assert await follower.shown(stage.venture) == ONE
            assert not follower.of(BlockSeen)
            explorer.faults = Faults()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == TWO
            assert await follower.is_sound(stage.world)
            assert not follower.of(RolledBack)


async def test_an_explorer_that_says_we_ask_too_often_is_left_alone(writer: AsyncEngine) -> None:
    async with staged() as stage:
        explorer = stage.world.explorer
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            explorer.faults = Faults(status=429)
            explorer.forget()
            await follower.named(explorer, "rate_limited")
            await follower.until(lambda: _errors(follower, explorer, "rate_limited") >= 3)
            assert explorer.counts.total() <= 4  # one a rest, and one that was under way
            explorer.faults = Faults()
            stage.mine_investment()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == TWO


LIES: dict[str, tuple[Callable[[Tx, Tx], Tx], str]] = {
    "another transaction": (lambda _, other: other, "wrong_tx"),
    "another witness": (lambda asked, _: altered_witness(asked), "wrong_witness"),
}


@pytest.mark.parametrize("what", LIES)
@pytest.mark.parametrize("way", ["claim", "recover"])
async def test_a_spend_that_is_not_proven_is_in_no_history(
    writer: AsyncEngine, what: str, way: str
) -> None:
    lie, code = LIES[what]
    async with staged() as stage:
        spend = _spend(stage, way)
        stage.world.chain.mine([spend])
        explorer = stage.world.explorer
        explorer.faults = Faults(lies={spend.txid: lie(spend, stage.stakes[0].tx)})
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.named(explorer, code)
            assert not follower.of(HistorySeen)
            explorer.faults = Faults()
            await follower.caught_up(stage.world)
            claimed = stage.stakes[0].coins[0].stage.value if way == "claim" else 0
            assert await follower.shown(stage.venture) == Shown(99_000, claimed, 1)
            assert await follower.is_sound(stage.world)


def _spend(stage: Stage, way: str) -> Tx:
    stake = stage.stakes[0]
    if way == "claim":
        return stage.venture.claim(stake)
    return stage.venture.recover(stake, stage.wallet)


async def test_an_explorer_that_is_down_at_the_start_is_named_and_met_later(
    writer: AsyncEngine,
) -> None:
    async with staged() as stage:
        explorer = stage.world.explorer
        explorer.down()
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            health = await follower.named(explorer, "unreachable")
            assert health.state == "down"
            explorer.up()
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            await follower.until(lambda: _state(follower, explorer) == "ok")


async def test_a_hidden_transaction_is_seen_in_its_block(writer: AsyncEngine) -> None:
    """By addresses it would be missed; a block cannot leave it out."""
    async with (
        staged() as stage,
        following(hurried(stage.world), writer, stage.venture) as follower,
    ):
        await follower.caught_up(stage.world)
        stake = stage.invest()
        stage.world.explorer.view.hidden = frozenset({stake.tx.txid})
        stage.world.chain.mine([stake.tx])
        await follower.caught_up(stage.world)
        assert await follower.shown(stage.venture) == TWO


async def test_beside_a_dead_explorer_the_other_is_followed(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        first, second = stage.world.explorers
        async with following(hurried(stage.world), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            for dead, alive in ((first, second), (second, first)):
                dead.down()
                stage.mine_investment()
                await follower.caught_up(stage.world)
                await follower.named(dead, "unreachable")
                await follower.until(partial(_failed, follower, dead, times=20))
                assert _state(follower, alive) == "ok"
                dead.up()
                await follower.until(partial(_is_ok, follower, dead))
            assert await follower.shown(stage.venture) == Shown(3 * 99_000, 0, 3)
            assert not follower.of(RolledBack)


@pytest.mark.parametrize("stays", [0, 1])
async def test_an_explorer_on_a_lighter_branch_disagrees_and_is_not_followed(
    writer: AsyncEngine, stays: int
) -> None:
    async with staged(explorers=2) as stage:
        settings = replace(hurried(stage.world), patience_seconds=60)
        async with following(settings, writer, stage.venture) as follower:
            stage.mine_investment()
            await follower.caught_up(stage.world)
            left, other = stage.world.explorers[stays], stage.world.explorers[1 - stays]
            left.view.pinned = stage.world.chain.tip_hash
            stage.world.chain.reorg(1, keep=False)
            stage.mine_investment()
            await follower.caught_up(stage.world)
            await follower.until(lambda: _disagree(follower, left) == (other.url,))
            await follower.until(lambda: _disagree(follower, other) == (left.url,))
            assert _state(follower, left) == "degraded"
            assert await follower.shown(stage.venture) == TWO
            left.view.pinned = None
            await follower.until(partial(_is_ok, follower, left))
            assert len(follower.of(RolledBack)) == 1
            assert await follower.is_sound(stage.world)


def _errors(follower: Follower, explorer: Explorer, code: str) -> int:
    health = follower.health(explorer)
    return health.errors.get(code, 0) if health else 0


def _state(follower: Follower, explorer: Explorer) -> str | None:
    health = follower.health(explorer)
    return health.state if health else None


def _failed(follower: Follower, explorer: Explorer, times: int) -> bool:
    health = follower.health(explorer)
    return health is not None and health.errors.get("unreachable", 0) >= times


def _is_ok(follower: Follower, explorer: Explorer) -> bool:
    return _state(follower, explorer) == "ok"


def _disagree(follower: Follower, explorer: Explorer) -> object:
    health = follower.health(explorer)
    return health.facts["disagrees_with"] if health else None

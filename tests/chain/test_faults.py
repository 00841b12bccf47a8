"""Explorers that fail or lie: nothing wrong is observed, nothing right is lost, they are named."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ObservationLog,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)

from raised.domain.bitcoin.tx import Tx
from raised.domain.observation import BlockSeen, HistorySeen, RolledBack
from raised_simnet.explorer.faults import BadBlock, Faults, altered_witness
from raised_simnet.explorer.server import Explorer

ONE = ProjectTotals(99_000, 0, 1)
TWO = ProjectTotals(198_000, 0, 2)
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
    async with funded_project() as funded:
        explorer = funded.world.explorer
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            explorer.faults = make()
            funded.mine_investment()
            await observed.wait_for_error(explorer, code)
            assert await observed.totals(funded.project) == ONE
            assert not observed.of_kind(BlockSeen)
            explorer.faults = Faults()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == TWO
            assert await observed.is_consistent(funded.world)
            assert not observed.of_kind(RolledBack)


async def test_an_explorer_that_says_we_ask_too_often_is_left_alone(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            explorer.faults = Faults(status=429)
            explorer.forget()
            await observed.wait_for_error(explorer, "rate_limited")
            await observed.wait_until(lambda: _errors(observed, explorer, "rate_limited") >= 3)
            assert explorer.counts.total() <= 4  # one a rest, and one that was under way
            explorer.faults = Faults()
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == TWO


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
    async with funded_project() as funded:
        spend = _spend(funded, way)
        funded.world.chain.mine([spend])
        explorer = funded.world.explorer
        explorer.faults = Faults(lies={spend.txid: lie(spend, funded.investments[0].tx)})
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_for_error(explorer, code)
            assert not observed.of_kind(HistorySeen)
            explorer.faults = Faults()
            await observed.wait_until_caught_up(funded.world)
            claimed = funded.investments[0].coins[0].stage.value if way == "claim" else 0
            assert await observed.totals(funded.project) == ProjectTotals(99_000, claimed, 1)
            assert await observed.is_consistent(funded.world)


def _spend(funded: FundedProject, way: str) -> Tx:
    investment = funded.investments[0]
    if way == "claim":
        return funded.project.claim(investment)
    return funded.project.recover(investment, funded.wallet)


async def test_an_explorer_that_is_down_at_the_start_is_named_and_met_later(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded:
        explorer = funded.world.explorer
        explorer.down()
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            health = await observed.wait_for_error(explorer, "unreachable")
            assert health.state == "down"
            explorer.up()
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            await observed.wait_until(lambda: _state(observed, explorer) == "ok")


async def test_a_hidden_transaction_is_seen_in_its_block(writer: AsyncEngine) -> None:
    """By addresses it would be missed; a block cannot leave it out."""
    async with (
        funded_project() as funded,
        following(fast_settings(funded.world), writer, funded.project) as observed,
    ):
        await observed.wait_until_caught_up(funded.world)
        investment = funded.invest()
        funded.world.explorer.view.hidden = frozenset({investment.tx.txid})
        funded.world.chain.mine([investment.tx])
        await observed.wait_until_caught_up(funded.world)
        assert await observed.totals(funded.project) == TWO


async def test_beside_a_dead_explorer_the_other_is_followed(writer: AsyncEngine) -> None:
    async with funded_project(explorers=2) as funded:
        first, second = funded.world.explorers
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_until_caught_up(funded.world)
            for dead, alive in ((first, second), (second, first)):
                dead.down()
                funded.mine_investment()
                await observed.wait_until_caught_up(funded.world)
                await observed.wait_for_error(dead, "unreachable")
                await observed.wait_until(partial(_failed, observed, dead, times=20))
                assert _state(observed, alive) == "ok"
                dead.up()
                await observed.wait_until(partial(_is_ok, observed, dead))
            assert await observed.totals(funded.project) == ProjectTotals(3 * 99_000, 0, 3)
            assert not observed.of_kind(RolledBack)


@pytest.mark.parametrize("stays", [0, 1])
async def test_an_explorer_on_a_lighter_branch_disagrees_and_is_not_followed(
    writer: AsyncEngine, stays: int
) -> None:
    async with funded_project(explorers=2) as funded:
        settings = replace(fast_settings(funded.world), fork_wait_seconds=60)
        async with following(settings, writer, funded.project) as observed:
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            left, other = funded.world.explorers[stays], funded.world.explorers[1 - stays]
            left.view.pinned = funded.world.chain.tip_hash
            funded.world.chain.reorg(1, keep=False)
            funded.mine_investment()
            await observed.wait_until_caught_up(funded.world)
            await observed.wait_until(lambda: _disagree(observed, left) == (other.url,))
            await observed.wait_until(lambda: _disagree(observed, other) == (left.url,))
            assert _state(observed, left) == "degraded"
            assert await observed.totals(funded.project) == TWO
            left.view.pinned = None
            await observed.wait_until(partial(_is_ok, observed, left))
            assert len(observed.of_kind(RolledBack)) == 1
            assert await observed.is_consistent(funded.world)


def _errors(observed: ObservationLog, explorer: Explorer, code: str) -> int:
    health = observed.health(explorer)
    return health.errors.get(code, 0) if health else 0


def _state(observed: ObservationLog, explorer: Explorer) -> str | None:
    health = observed.health(explorer)
    return health.state if health else None


def _failed(observed: ObservationLog, explorer: Explorer, times: int) -> bool:
    health = observed.health(explorer)
    return health is not None and health.errors.get("unreachable", 0) >= times


def _is_ok(observed: ObservationLog, explorer: Explorer) -> bool:
    return _state(observed, explorer) == "ok"


def _disagree(observed: ObservationLog, explorer: Explorer) -> object:
    health = observed.health(explorer)
    return health.facts["disagrees_with"] if health else None

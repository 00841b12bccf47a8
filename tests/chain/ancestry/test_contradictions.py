"""Two explorers that name different old blocks: a lie costs the liar, and nothing wrong counts."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Follower, Shown, Stage, following, staged
from tests.rig.lying_explorer import Liar, with_work
from tests.rig.rewritten_history import FAR, height_of_stake, opponents_of, short_sighted, state_of

from raised.domain.observation import HistorySeen, SourceHealth
from raised_simnet.explorer.server import Explorer

ONE = Shown(99_000, 0, 1)


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
        lying.view = _liar(stage, height_of_stake(stage) + 2, names=names)
        settings = short_sighted(stage, patient=patient)
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
        lying.view = _liar(stage, height_of_stake(stage))
        async with following(short_sighted(stage), writer, stage.venture) as follower:
            await follower.named(lying, "foreign_block")
            await follower.until(lambda: opponents_of(follower, lying) == (honest.url,))
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert not _blamed(follower, honest)
            await follower.until(lambda: state_of(follower, honest) == "ok")


async def test_nothing_is_committed_while_nobody_can_say_who_is_right(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        honest, lying = stage.world.explorers
        lying.view = view = _liar(stage, height_of_stake(stage))
        view.silent = range(height_of_stake(stage) + 1, stage.world.chain.height - 40)
        settings = short_sighted(stage, patient=False)
        async with following(settings, writer, stage.venture) as follower:
            await follower.named(honest, "disputed")
            await follower.until(lambda: opponents_of(follower, honest) == (lying.url,))
            assert not follower.of(HistorySeen)


async def test_who_is_contradicted_can_prove_itself(writer: AsyncEngine) -> None:
    async with staged(explorers=2) as stage:
        stage.world.chain.mine_many(FAR)
        honest, lying = stage.world.explorers
        lying.view = view = _liar(stage, height_of_stake(stage))
        view.silent = range(height_of_stake(stage) + 1, stage.world.chain.height - 40)
        async with following(short_sighted(stage), writer, stage.venture) as follower:
            await follower.caught_up(stage.world)
            assert await follower.shown(stage.venture) == ONE
            assert {one.explorer for one in follower.of(HistorySeen)} == {honest.url}


def _liar(stage: Stage, height: int, *, names: bool = True) -> Liar:
    """One that has an investment in another block of this height, and perhaps says it is there."""
    other = stage.invest()
    invented = with_work(stage.world.chain, height, other.tx)
    return Liar(stage.world.chain, invented, other.tx.txid, names=names)


def _blamed(follower: Follower, explorer: Explorer) -> bool:
    told = (one for one in follower.of(SourceHealth) if one.name == explorer.url)
    return any("foreign_block" in one.errors for one in told)

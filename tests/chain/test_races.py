"""The chain changes between any two requests of ours: that is nobody's lie, and costs a moment.

Every number of a request of a cycle has its turn: just before it is answered, blocks are replaced.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import Follower, Shown, Stage, following, hurried, staged
from tests.rig.intercepting_transport import Between

from raised.chain.settings import ChainSettings, RateLimit

# Whoever was set apart for a lie, even once, would be silent for longer than the test waits.
UNFORGIVING: Final = RateLimit(per_second=1e6, burst=1_000_000, base_seconds=60, cap_seconds=600)
OF_A_RACE: Final = {"moved", "absent", "withheld", "unsure", "behind"}
CYCLES: Final = 3


def unforgiving(stage: Stage) -> ChainSettings:
    """The mempool is looked at in every cycle."""
    settings = hurried(stage.world)
    return replace(
        settings,
        explorers=tuple(replace(one, rate_limit=UNFORGIVING) for one in settings.explorers),
        poll_seconds=0.005,
        health_seconds=0.01,
        mempool_seconds=1e-6,
        patience_seconds=60,
    )


class Strike:
    """Something that happens just before the request of this number, from now on, is answered.

    `looks`: how often a tip was asked for between that and the raw block of the tip it left behind.
    """

    def __init__(self, stage: Stage, between: Between, number: int, blow: Callable[[], object]):
        self.looks = 0
        self.struck = False
        self._chain = stage.world.chain
        self._arrived = False
        self._at = between.asked + number
        self._blow = blow
        between.before = self._strike
        between.instead = self._count

    def _strike(self, asked: int) -> None:
        if asked >= self._at and not self.struck:
            self._blow()
            self.struck = True

    def _count(self, path: str) -> httpx.Response | None:
        self._arrived |= self.struck and path.endswith(f"{self._chain.tip_hash}/raw")
        looks = self.struck and not self._arrived and path.endswith("/blocks/tip/hash")
        self.looks += looks
        return None


def confirmed(stage: Stage) -> Shown:
    """What the best chain holds of the project."""
    held = [one for one in stage.stakes if stage.world.chain.height_of(one.tx.txid) is not None]
    return Shown(99_000 * len(held), 0, len(held))


async def endure(stage: Stage, follower: Follower, strike: Strike) -> None:
    """Wait until what happened is followed; nobody may have been blamed, nothing be wrong."""
    await follower.until(lambda: strike.struck)
    await follower.caught_up(stage.world)
    assert strike.looks <= CYCLES * len(stage.world.explorers)
    await follower.until(lambda: all(_is_ok(follower, one.url) for one in stage.world.explorers))
    assert await follower.shown(stage.venture) == confirmed(stage)


def _is_ok(follower: Follower, url: str) -> bool:
    told = follower.latest(url)
    assert told is None or set(told.errors) <= OF_A_RACE, told
    return told is not None and told.state == "ok"


@pytest.mark.parametrize("depth", range(1, 7))
async def test_a_reorg_between_any_two_requests_is_no_lie(writer: AsyncEngine, depth: int) -> None:
    between = Between()
    async with (
        staged(explorers=2, coins=100) as stage,
        following(unforgiving(stage), writer, stage.venture, between) as follower,
    ):
        stage.world.chain.mine_many(6)
        await follower.caught_up(stage.world)
        for number in range(1 + depth % 2, 16, 2):  # each with depths of the other parity
            strike = Strike(stage, between, number, lambda: _replace(stage, depth))
            stage.mine_investment()
            await endure(stage, follower, strike)
        assert await follower.is_sound(stage.world)


def _replace(stage: Stage, depth: int) -> None:
    """The last blocks go; what the lowest of them held is a block higher now."""
    chain = stage.world.chain
    lowest = chain.block_at(chain.height - depth + 1)
    chain.reorg(depth, [[], lowest.txs[1:]], keep=depth % 2 == 0)

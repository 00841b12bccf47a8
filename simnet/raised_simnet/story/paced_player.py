"""A story played in a world, at a pace: for the demo and for tests that follow along."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from raised_simnet.actors.nostr_event import Event
from raised_simnet.btcpay.shop_player import ShopPlayer, StoryClock
from raised_simnet.story import oracle
from raised_simnet.story.player import Player
from raised_simnet.story.steps import Mine, Reorganise, Step
from raised_simnet.story.storyboard import Story
from raised_simnet.world import World

Json = dict[str, Any]
Pace = Callable[[Step], Awaitable[None]]

SUMMARY: Final = "/api/v1/summary"
_POLL_SECONDS: Final = 0.2
_STEADY_ANSWERS: Final = 3


class RelayRefused(Exception):
    """A relay did not take an event of the story."""


class PacedPlayer:
    """The story's actors in their world. `play` it once, then ask what must have come out."""

    def __init__(self, world: World, story: Story) -> None:
        self.world = world
        self.story = story
        self.player = Player(world.chain, story, self._send, self._counter())

    def _counter(self) -> ShopPlayer | None:
        if not self.story.shops:
            return None
        assert isinstance(self.world.clock, StoryClock), "a story's server lives in its time"
        for label, policy in self.story.shops.items():
            self.world.open_shop(label, policy)
        return ShopPlayer(self.world.btcpay, self.world.shops, self.world.clock)

    def settings(self) -> str:
        """A `relays.toml` that follows this world and groups what belongs together."""
        tables = (collection.settings() for collection in self.story.collections)
        return self.world.settings() + "".join(tables)

    def prepare(self) -> None:
        """Give the actors their coins."""
        self.player.prepare(self.world.miner)

    async def play(self, pace: Pace) -> None:
        """Perform every step; `pace` is awaited after each."""
        for step in self.story.steps:
            await self.player.perform(step)
            await pace(step)

    def oracle(self) -> Json:
        """The summary that must come out now."""
        counter = self.player.counter
        receipts = None if counter is None else counter.receipts
        return oracle.summary(self.player.book, self.world.chain, receipts)

    async def _send(self, event: Event, relays: tuple[int, ...] | None) -> None:
        to = None if relays is None else [self.world.relays[number] for number in relays]
        refused = await self.world.publish([event], to=to)
        if refused:
            raise RelayRefused(str(refused))


def steadily(steps_a_second: float) -> Pace:
    """So many steps a second."""

    async def wait(step: Step) -> None:
        del step
        await asyncio.sleep(1 / steps_a_second)

    return wait


def followed(
    client: httpx.AsyncClient, world: World, *, lag: int = 2, patience_seconds: float = 60
) -> Pace:
    """As fast as the API's record keeps up: at most `lag` blocks behind.

    A follower that stands still for longer than the patience is left behind: what it shows in the
    end will tell.
    """

    async def wait(step: Step) -> None:
        if not isinstance(step, Mine | Reorganise):
            return
        try:
            async with asyncio.timeout(patience_seconds):
                await _until_height(client, world.chain.height - lag)
        except TimeoutError:
            return

    return wait


async def agreement(
    client: httpx.AsyncClient, performance: PacedPlayer, *, patience_seconds: float = 60
) -> tuple[Json | None, Json]:
    """The API's summary and the oracle's, once both agree on the final tip and stay so.

    When they do not within the patience: the last summary there was, or None.
    """
    expected = performance.oracle()
    shown: Json | None = None
    steady = 0
    try:
        async with asyncio.timeout(patience_seconds):
            while steady < _STEADY_ANSWERS:
                answer = await summary_of(client)
                shown = answer or shown
                there = answer is not None and _stands_on(answer, performance.world.chain.tip_hash)
                steady = steady + 1 if there and comparable(answer or {}) == expected else 0
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        pass
    return shown, expected


def comparable(summary: Json) -> Json:
    """A summary without what depends on the clock and the moment of asking."""
    return {k: v for k, v in summary.items() if k != "as_of" and not k.startswith("last_")}


async def summary_of(client: httpx.AsyncClient) -> Json | None:
    """The API's summary, or None when it does not answer."""
    try:
        response = await client.get(SUMMARY)
        response.raise_for_status()
        answer: Json = response.json()
    except (httpx.HTTPError, ValueError):
        return None
    return answer


async def _until_height(client: httpx.AsyncClient, height: int) -> None:
    while True:
        if await _height(client) >= height:
            return
        await asyncio.sleep(_POLL_SECONDS / 4)


async def _height(client: httpx.AsyncClient) -> int:
    answer = await summary_of(client)
    return ((answer or {}).get("as_of") or {}).get("height") or -1


def _stands_on(answer: Json, tip: str) -> bool:
    return bool((answer.get("as_of") or {}).get("hash") == tip)

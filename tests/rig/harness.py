"""A story, its world and a box that follows it, put together for tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.node import Node

from raised_simnet.btcpay.shop_player import StoryClock
from raised_simnet.demo.demo import Result
from raised_simnet.explorer.server import Flavour
from raised_simnet.story.paced_player import Pace, PacedPlayer, agreement, followed
from raised_simnet.story.player import chain_start
from raised_simnet.story.storyboard import Story
from raised_simnet.world import World


@dataclass(frozen=True, slots=True)
class Harness:
    """Everything that plays together."""

    world: World
    performance: PacedPlayer
    box: Node

    async def play(self, pace: Pace | None = None) -> None:
        """Play the whole story, as fast as the record follows unless told otherwise."""
        await self.performance.play(pace or self.followed())

    def followed(self, *, lag: int = 2) -> Pace:
        """As fast as the record follows: at most `lag` blocks behind."""
        return followed(self.box.client, self.world, lag=lag, patience_seconds=DEADLINE_SECONDS)

    async def outcome(self) -> Result:
        """What the record shows and the actors know, once they agree or patience ends."""
        seed = self.performance.story.seed
        shown, expected = await agreement(
            self.box.client, self.performance, patience_seconds=DEADLINE_SECONDS
        )
        return Result(seed, shown, expected)

    def txid(self, label: str) -> str:
        """The transaction with this label in the story."""
        return self.performance.player.book.tx(label).txid


@asynccontextmanager
async def harness(
    folder: Path,
    story: Story,
    *,
    explorers: int | Sequence[Flavour] = 1,
    relays: Sequence[str] = (),
    lasting: bool = False,
    database_url: str | None = None,
) -> AsyncIterator[Harness]:
    """The world of a story before its first step, and a box beside it that does not run yet.

    `relays`: addresses to follow besides the world's own. `lasting`: the world's relays keep their
    events over a restart, at ten times the cost of an event.
    """
    clock = StoryClock(story.start_at) if story.shops else None
    world = World(explorers=explorers, lasting=lasting, start_time=chain_start(story), clock=clock)
    async with world:
        performance = PacedPlayer(world, story)
        performance.prepare()
        more = "".join(f'[[relay]]\nurl = "{url}"\n' for url in relays)
        settings = performance.settings() + more
        secrets = world.secrets(folder)
        async with Node(folder, settings, database_url=database_url, **secrets) as box:
            world.ring(f"http://127.0.0.1:{box.port}")
            yield Harness(world, performance, box)

"""The demo: a world, `raised up` against it, and a story; or the same with the daemon killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from raised.clock import now
from raised_simnet.btcpay.shop_player import StoryClock
from raised_simnet.demo.programs import Program, ProgramFailed, environment, free_port
from raised_simnet.story.paced_player import (
    Pace,
    PacedPlayer,
    agreement,
    comparable,
    followed,
    steadily,
)
from raised_simnet.story.player import chain_start
from raised_simnet.story.steps import Step
from raised_simnet.story.stories import full_story, start_before
from raised_simnet.world import World

DEFAULT_PORT: Final = 8721
_DEFAULT_SPEED: Final = 3.0
_KILL_WITHIN_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said. `speed` in steps a second; None: as fast as it is followed.

    `database_url`: an empty database for the record, instead of a file that ends with the demo.
    """

    seed: int
    speed: float | None = None
    once: bool = True
    port: int | None = None
    database_url: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: the API's summary (None: no answer) and what the actors know."""

    seed: int
    summary: dict[str, Any] | None
    oracle: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Whether the record shows what the actors did."""
        return self.summary is not None and comparable(self.summary) == self.oracle

    def as_json(self) -> dict[str, Any]:
        """The object that `raised demo --once` prints."""
        return {
            "seed": self.seed,
            "summary": self.summary,
            "oracle": self.oracle,
            "equal": self.equal,
        }


async def run_demo(options: Options) -> Result | None:
    """Play the story against `raised up`; with `once` what came out, else go on until cancelled.

    Raises:
        ProgramFailed: `raised up` ended by itself.
    """
    async with AsyncExitStack() as stack:
        performance, config = await stack.enter_async_context(_stage(options.seed))
        port = options.port or free_port(DEFAULT_PORT)
        client = await stack.enter_async_context(_client(port))
        settings = _connected(performance.world, config, port, options.database_url)
        program = Program(("up",), settings)
        stack.push_async_callback(program.stop)
        await program.start()
        await program.ready(client)
        return await _attended(_show(client, performance, options), program)


async def play_with_kills(seed: int, kills: int) -> Result:
    """Play the story while the daemon is killed at so many random moments and started again.

    Raises:
        ProgramFailed: the API ended by itself, or the record could not be made.
    """
    async with AsyncExitStack() as stack:
        performance, config = await stack.enter_async_context(_stage(seed))
        port = free_port()
        client = await stack.enter_async_context(_client(port))
        settings = _connected(performance.world, config, port)
        await Program(("db", "upgrade"), settings).succeed()
        daemon, api = Program(("run",), settings), Program(("api",), settings)
        for program in (daemon, api):
            stack.push_async_callback(program.stop)
            await program.start()
        await api.ready(client)
        dice = Random(seed)
        moments = set(dice.sample(range(len(performance.story.steps)), kills))
        follow = followed(client, performance.world)
        await performance.play(_interrupted(daemon, moments, dice, follow))
        return Result(seed, *await agreement(client, performance))


@asynccontextmanager
async def _stage(seed: int) -> AsyncIterator[tuple[PacedPlayer, Path]]:
    """A world with a story's actors in it, and a relays.toml that follows it."""
    story = full_story(seed, start_before(now()), now(), shops=True)
    clock = StoryClock(story.start_at)
    with TemporaryDirectory(prefix="raised-demo-") as folder:
        async with World(lasting=True, start_time=chain_start(story), clock=clock) as world:
            performance = PacedPlayer(world, story)
            performance.prepare()
            config = Path(folder) / "relays.toml"
            config.write_text(performance.settings(), encoding="utf-8")
            yield performance, config


def _connected(
    world: World, config: Path, port: int, database_url: str | None = None
) -> dict[str, str]:
    """The programs' environment; from now on the shops tell the API on this port."""
    world.ring(f"http://127.0.0.1:{port}")
    return {**environment(config, port, database_url), **world.secrets(config.parent)}


def _client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)


async def _attended(showing: Coroutine[Any, Any, Result | None], program: Program) -> Result | None:
    """What `showing` gives, unless the program ends before it does."""
    async with asyncio.TaskGroup() as group:
        show = group.create_task(showing)
        end = group.create_task(program.ended())
        await asyncio.wait((show, end), return_when=asyncio.FIRST_COMPLETED)
        left_alone = not show.done()
        show.cancel()
        end.cancel()
    if left_alone:
        raise ProgramFailed(f"`{program.name}` ended with {end.result()}")
    return show.result()


async def _show(
    client: httpx.AsyncClient, performance: PacedPlayer, options: Options
) -> Result | None:
    print_progress(f"The demo is at {client.base_url} (Ctrl-C ends it)")
    await performance.play(_pace(client, performance.world, options))
    if not options.once:
        print_progress("The story has been told; what you see stays until Ctrl-C")
        await asyncio.Event().wait()
    return Result(options.seed, *await agreement(client, performance))


def _pace(client: httpx.AsyncClient, world: World, options: Options) -> Pace:
    if options.speed is not None:
        return steadily(options.speed)
    return followed(client, world) if options.once else steadily(_DEFAULT_SPEED)


def _interrupted(daemon: Program, moments: set[int], dice: Random, pace: Pace) -> Pace:
    """The same pace, with the daemon killed and started again after the steps of these numbers."""
    played = 0

    async def wait(step: Step) -> None:
        nonlocal played
        if played in moments:
            await asyncio.sleep(dice.random() * _KILL_WITHIN_SECONDS)
            await daemon.kill()
            await daemon.start()
        played += 1
        await pace(step)

    return wait


def print_progress(line: str) -> None:
    """A line for whoever looks on; standard output is for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

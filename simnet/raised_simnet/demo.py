"""The demo: a world, `raised up` against it, and a story."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from raised.clock import now
from raised.errors import RaisedError
from raised_simnet.performance import (
    Pace,
    Performance,
    agreement,
    comparable,
    followed,
    steadily,
)
from raised_simnet.player import chain_start
from raised_simnet.story import full_story, start_before
from raised_simnet.world import World

DEFAULT_PORT: Final = 8721
_DEFAULT_SPEED: Final = 3.0
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said. `speed` in steps a second; None: as fast as it is followed."""

    seed: int
    speed: float | None
    once: bool
    port: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """What `--once` found out."""

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


class UpFailed(RaisedError):
    """`raised up` ended, or never became ready."""


async def demonstrate(options: Options) -> Result | None:
    """Play the story against `raised up`; with `once` what came out, else go on until cancelled.

    Raises:
        UpFailed: the programs ended by themselves.
    """
    story = full_story(options.seed, start_before(now()))
    with TemporaryDirectory(prefix="raised-demo-") as folder:
        async with World(lasting=True, start_time=chain_start(story)) as world:
            performance = Performance(world, story)
            performance.prepare()
            place = Path(folder) / "relays.toml"
            place.write_text(world.settings(), encoding="utf-8")
            async with _programs(place, options) as (client, process):
                return await _attended(_show(client, performance, options), process)


async def _attended(
    showing: Coroutine[Any, Any, Result | None], process: asyncio.subprocess.Process
) -> Result | None:
    """What `showing` gives, unless the programs end before it does."""
    async with asyncio.TaskGroup() as group:
        show = group.create_task(showing)
        end = group.create_task(process.wait())
        await asyncio.wait((show, end), return_when=asyncio.FIRST_COMPLETED)
        left_alone = not show.done()
        show.cancel()
        end.cancel()
    if left_alone:
        raise UpFailed(f"`raised up` ended with {process.returncode}")
    return show.result()


async def _show(
    client: httpx.AsyncClient, performance: Performance, options: Options
) -> Result | None:
    tell(f"The demo is at {client.base_url} (Ctrl-C ends it)")
    await performance.play(_pace(client, performance.world, options))
    if not options.once:
        tell("The story has been told; what you see stays until Ctrl-C")
        await asyncio.Event().wait()
    shown, expected = await agreement(client, performance)
    return Result(options.seed, shown, expected)


def _pace(client: httpx.AsyncClient, world: World, options: Options) -> Pace:
    if options.speed is not None:
        return steadily(options.speed)
    return followed(client, world) if options.once else steadily(_DEFAULT_SPEED)


@asynccontextmanager
async def _programs(
    config: Path, options: Options
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    """`raised up` with this configuration, ready; stopped in the end."""
    port = options.port or free_port(DEFAULT_PORT)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "raised", "up", "--config", str(config)),
        env=environment(config.parent, port),
        stdout=sys.stderr.fileno(),
        start_new_session=True,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await _ready(client, process)
            yield client, process
    finally:
        await _stop(process)


def environment(folder: Path, port: int) -> dict[str, str]:
    """Ours, with what the programs of the demo must have and what nobody has said otherwise."""
    ours = dict(os.environ)  # noqa: TID251 - children get our environment, and more
    ours.setdefault("RAISED_DATABASE_URL", f"sqlite+aiosqlite:///{folder / 'raised.db'}")
    ours.setdefault("RAISED_LOG_LEVEL", "warning")
    ours.setdefault("RAISED_RATE_LIMIT", "1000000")
    ours["RAISED_API_BIND"] = f"127.0.0.1:{port}"
    ours["RAISED_METRICS_BIND"] = f"127.0.0.1:{free_port()}"
    return ours


def free_port(wish: int = 0) -> int:
    """The wished port when nobody listens there, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wish))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
        return port


async def _ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while process.returncode is None:
            try:
                if (await client.get("/health/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass  # not listening yet
            await asyncio.sleep(_POLL_SECONDS)
    raise UpFailed(f"`raised up` ended with {process.returncode}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tell(line: str) -> None:
    """A line for whoever looks on; standard output is for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

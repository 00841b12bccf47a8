"""What the daemon's log says: what it follows, and each source when it is lost and when back."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.node import Node

from raised import __version__
from raised.clock import now
from raised.db.upgrade import newest_revision
from raised_simnet.btcpay.shop import Shop
from raised_simnet.world import World

LogEntry = dict[str, Any]


@dataclass
class Logs:
    """The lines that the programs have written so far."""

    capfd: pytest.CaptureFixture[str]
    lines: list[LogEntry] = field(default_factory=list)

    async def until(self, event: str, sources: set[str]) -> None:
        """Wait until this was said of these sources."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sources - self.count(event).keys():
                await self.read()

    async def starts(self, number: int) -> list[LogEntry]:
        """The lines of so many starts of the daemon, as soon as they are there."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(found := [row for row in self.lines if row["event"] == "following"]) < number:
                await self.read()
        return found

    async def read(self) -> None:
        """Read what was written meanwhile."""
        await asyncio.sleep(0.1)
        text = self.capfd.readouterr().err
        self.lines += [json.loads(row) for row in text.splitlines() if row[:1] == "{"]

    def count(self, event: str) -> Counter[str]:
        """How often this was said of each source."""
        return Counter(line["source"] for line in self.lines if line["event"] == event)


@dataclass
class Street:
    """A world with a shop, and a box that follows it."""

    world: World
    shop: Shop
    box: Node
    logs: Logs

    @property
    def sources(self) -> set[str]:
        """What is followed, as it is named."""
        return {self.world.relays[0].url, self.world.explorer.url, self.shop.label}

    def close(self) -> None:
        self.world.relays[0].kill()
        self.world.explorer.down()
        self.world.btcpay.down()

    def open(self) -> None:
        self.world.relays[0].start()
        self.world.explorer.up()
        self.world.btcpay.up()


@pytest.fixture
async def street(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(relays=1, lasting=True, clock=now))
        shop = world.open_shop("shop")
        secrets = world.secrets(tmp_path)
        box = Node(tmp_path, world.settings(), RAISED_LOG_LEVEL="info", **secrets)
        await stack.enter_async_context(box)
        await box.make_record()
        yield Street(world, shop, box, Logs(capfd))


async def test_sources_that_are_not_there_are_named_once_and_again_when_they_come(
    street: Street,
) -> None:
    street.close()
    await street.box.daemon.start()
    await street.logs.until("source lost", street.sources)
    street.open()
    await street.logs.until("source is back", street.sources)
    assert street.logs.count("source lost") == Counter(street.sources)
    lost = [line for line in street.logs.lines if line["event"] == "source lost"]
    assert all(line["level"] == "warning" and line["code"] for line in lost)
    warnings = [line for line in street.logs.lines if line["level"] == "warning"]
    assert Counter(line.get("source") for line in warnings) == Counter(street.sources)
    assert all(len(line["detail"].split()) > 1 for line in lost)
    street.close()
    await street.logs.until("source lost", street.sources)
    street.open()


async def test_the_first_line_says_what_runs_and_what_is_followed(street: Street) -> None:
    await street.box.daemon.start()
    await street.box.api.start()
    await street.box.until("/api/v1/summary", lambda shown: shown["as_of"]["height"])
    await street.box.daemon.stop()
    height = (await street.box.summary())["as_of"]["height"]
    await street.box.daemon.start()
    first, second = await street.logs.starts(2)
    assert (first["version"], first["database"]) == (__version__, "sqlite")
    assert (first["schema"], first["network"], first["height"]) == (
        newest_revision(),
        "regtest",
        None,
    )
    assert {*first["relays"], *first["explorers"], *first["stores"]} == street.sources
    assert second["height"] == height
    assert second["tip"] == street.world.chain.tip_hash

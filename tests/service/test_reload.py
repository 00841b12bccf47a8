"""SIGHUP checks everything before it applies anything."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.memory_store_record import MemoryStoreRecord

from raised.btcpay.source import StoreSource
from raised.config.load import load_config
from raised.db.engine import open_reader, open_writer
from raised.domain.observation import CampaignsConfigured, Observation, SourcesConfigured
from raised.nostr.source import RelaySource
from raised.service.record_view import RecordView
from raised.service.reload import Reload
from raised.service.source_settings import relay_settings, store_settings

POLL_SECONDS = 0.01
RELAY_KEY = "11" * 32
TEXT = """
network = "regtest"
[[relay]]
url = "ws://127.0.0.1:1"
auth_key_file = "{folder}/relay-key"
[[chain.explorer]]
url = "http://127.0.0.1:2"
[[btcpay]]
label = "shop"
url = "http://127.0.0.1:3"
store_id = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
"""
OTHER_SHOP = TEXT.replace("127.0.0.1:3", "127.0.0.1:4")
ONE_MORE_RELAY = OTHER_SHOP + '[[relay]]\nurl = "ws://127.0.0.1:5"\n'

Damage = Callable[[Path], None]


@dataclass
class Daemon:
    """What a reload acts on, without anything that connects."""

    reload: Reload
    relays: RelaySource
    stores: StoreSource
    observations: asyncio.Queue[Observation]
    logs: list[EventDict]

    def followed(self) -> tuple[list[str], list[str]]:
        """The addresses of the relays and stores."""
        return (
            [relay.url for relay in self.relays._configured],
            [store.url for store in self.stores._servers],
        )

    async def signal(self) -> EventDict:
        """Send SIGHUP; the next line that is logged."""
        lines = len(self.logs)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.line(lines)

    async def line(self, number: int) -> EventDict:
        """The line with this number, as soon as it is logged."""
        while True:
            if len(self.logs) > number:
                return self.logs[number]
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "relays.toml").write_text(TEXT.format(folder=tmp_path))
    (tmp_path / "relay-key").write_text(RELAY_KEY)
    (tmp_path / "api-key").write_text("key")
    monkeypatch.setenv("RAISED_BTCPAY_SHOP_API_KEY_FILE", str(tmp_path / "api-key"))
    return tmp_path


@pytest.fixture
async def daemon(folder: Path) -> AsyncIterator[Daemon]:
    async with running(folder) as daemon:
        yield daemon


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Daemon]:
    config = load_config(folder / "relays.toml")
    url = f"sqlite+aiosqlite:///{folder}/raised.db"
    await open_writer(url).dispose()
    reader = open_reader(url)
    relays = RelaySource(relay_settings(config), RecordView(reader, finality=100))
    stores = StoreSource(store_settings(config), MemoryStoreRecord())
    reload = Reload(config, relays, stores)
    observations: asyncio.Queue[Observation] = asyncio.Queue()
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reload.follow(observations))
            yield Daemon(reload, relays, stores, observations, logs)
            task.cancel()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
    await stores.close()
    await reader.dispose()


async def test_a_store_may_be_removed_while_its_secrets_are_still_named(
    daemon: Daemon, folder: Path
) -> None:
    write(folder, TEXT.split("[[btcpay]]", maxsplit=1)[0])
    warning = await daemon.signal()
    assert warning["log_level"] == "warning"
    assert "RAISED_BTCPAY_SHOP_API_KEY_FILE: is not used" in warning["warning"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        daemon.reload.on_commit([await daemon.observations.get() for _ in range(2)])
        assert (await daemon.line(1))["event"] == "reloaded"
    assert daemon.followed()[1] == []


def write(folder: Path, text: str) -> None:
    (folder / "relays.toml").write_text(text.format(folder=folder))


def no_relay_key(folder: Path) -> None:
    """What cannot be read, even by root."""
    (folder / "relay-key").unlink()
    (folder / "relay-key").mkdir()
    write(folder, ONE_MORE_RELAY)


def bad_relay_key(folder: Path) -> None:
    (folder / "relay-key").write_text("not a key")
    write(folder, ONE_MORE_RELAY)


def no_api_key(folder: Path) -> None:
    (folder / "api-key").unlink()
    write(folder, ONE_MORE_RELAY)


def bad_api_key(folder: Path) -> None:
    (folder / "api-key").write_text("a key, and more")
    write(folder, ONE_MORE_RELAY)


def no_toml(folder: Path) -> None:
    write(folder, ONE_MORE_RELAY + "[[relay]\n")


def unknown_key(folder: Path) -> None:
    write(folder, "colour = 1\n" + ONE_MORE_RELAY)


def no_file(folder: Path) -> None:
    (folder / "relays.toml").unlink()
    (folder / "relays.toml").mkdir()


def other_network(folder: Path) -> None:
    write(folder, ONE_MORE_RELAY.replace("regtest", "signet"))


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (no_relay_key, "auth_key_file"),
        (bad_relay_key, "auth_key_file"),
        (no_api_key, "RAISED_BTCPAY_SHOP_API_KEY_FILE"),
        (bad_api_key, "RAISED_BTCPAY_SHOP_API_KEY_FILE"),
        (no_toml, "is not TOML"),
        (unknown_key, "colour"),
        (no_file, "relays.toml"),
        (other_network, "network"),
    ],
)
async def test_a_problem_changes_nothing_and_one_line_says_what_is_wrong(
    daemon: Daemon, folder: Path, damage: Damage, word: str
) -> None:
    before = daemon.followed()
    damage(folder)
    line = await daemon.signal()
    assert line["log_level"] == "error"
    assert any(word in problem for problem in line["problems"])
    assert daemon.logs == [line]
    assert daemon.followed() == before
    assert daemon.observations.empty()


async def test_sources_are_replaced_once_the_record_knows_the_configuration(
    daemon: Daemon, folder: Path
) -> None:
    before = daemon.followed()
    write(folder, ONE_MORE_RELAY)
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(DEADLINE_SECONDS):
        sources = await daemon.observations.get()
        campaigns = await daemon.observations.get()
    assert isinstance(sources, SourcesConfigured)
    assert sources.relays == ("ws://127.0.0.1:1", "ws://127.0.0.1:5")
    assert isinstance(campaigns, CampaignsConfigured)
    assert daemon.followed() == before
    daemon.reload.on_commit([sources, campaigns])
    async with asyncio.timeout(DEADLINE_SECONDS):
        await daemon.line(0)
    assert daemon.followed() == (
        ["ws://127.0.0.1:1", "ws://127.0.0.1:5"],
        ["http://127.0.0.1:4"],
    )


async def test_what_only_a_restart_applies_is_said_and_the_rest_applied(
    daemon: Daemon, folder: Path
) -> None:
    write(folder, ONE_MORE_RELAY + "[retention]\nchanges_days = 5\n")
    line = await daemon.signal()
    assert (line["log_level"], line["settings"]) == ("warning", ["retention"])
    assert daemon.observations.qsize() == 2

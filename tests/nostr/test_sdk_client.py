"""How a relay is reached, and the patch of the library's callbacks, which loses nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raised.errors import ConfigError
from raised.nostr import sdk_bridge, sdk_client
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.relays.relays import publish

SECRET = bytes(31) + b"\x09"
EVENTS = [
    sign_event(SECRET, kind=3030, content=f"{n}", created_at=1_700_000_000 + n) for n in range(400)
]


def test_the_address_of_a_proxy_has_an_ip_address_and_a_port() -> None:
    assert ProxySettings("socks5h://127.0.0.1:9050").address == "127.0.0.1:9050"
    assert ProxySettings("socks5://localhost:9050", "all").address == "127.0.0.1:9050"
    for wrong in ("http://127.0.0.1:1", "127.0.0.1:9050", "socks5h://host"):
        with pytest.raises(ConfigError):
            _ = ProxySettings(wrong).address


def test_a_key_file_without_a_key_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "key"

    def endpoint() -> RelayEndpoint:
        return RelayEndpoint(RelaySettings("wss://relay", auth_key_file=path), None, RelayTiming())

    with pytest.raises(ConfigError, match=r"auth_key_file: .*: No such file"):
        endpoint().keys()
    path.write_text("not a key")
    with pytest.raises(ConfigError, match="holds no secret key in hex"):
        endpoint().keys()
    path.write_text(SECRET.hex() + "\n")
    assert endpoint().keys() is not None
    assert RelayEndpoint(RelaySettings("wss://relay"), None, RelayTiming()).keys() is None


def test_an_invalid_address_is_a_configuration_error() -> None:
    RelayEndpoint(RelaySettings("wss://relay.example"), None, RelayTiming()).check()
    with pytest.raises(ConfigError, match="address"):
        RelayEndpoint(RelaySettings("https://relay.example"), None, RelayTiming()).check()
    with pytest.raises(ConfigError, match="proxy"):
        RelayEndpoint(
            RelaySettings("wss://relay.example"), ProxySettings("nonsense"), RelayTiming()
        ).check()


async def receive_live_events(follow: Any, relay: Any) -> None:
    async with follow(relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        await asyncio.to_thread(publish, relay.url, EVENTS)
        await following.until(lambda: len(record.events) == len(EVENTS))
        assert following.state(relay) == ("ok", None)


async def test_an_unknown_version_is_not_patched_and_loses_nothing(
    follow: Any, start_relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_client, "PATCHED_VERSION", "0")
    assert not sdk_client.patch_callbacks()
    await receive_live_events(follow, start_relay())


async def test_the_known_version_can_be_patched(follow: Any, start_relay: Any) -> None:
    """Fails with a new version of the library: then look at its callbacks again."""
    assert sdk_client.patch_callbacks()
    assert sdk_client.patch_callbacks()
    await receive_live_events(follow, start_relay())


async def test_the_relay_waits_while_the_queue_is_full(
    follow: Any, start_relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_bridge, "QUEUE_MAX", 2)
    await receive_live_events(follow, start_relay())

"""The account of bytes, and the way to a relay."""

import json
from pathlib import Path

import pytest

from raised.errors import ConfigError
from raised.nostr.sdk_client import Account, RelayEndpoint
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import compact, sign_event

SECRET = bytes(31) + b"\x09"
EVENT = sign_event(
    SECRET,
    kind=3030,
    content='{"näme":"日本語 \\ \U0001f600", "tag":"<b>"}',
    created_at=5,
    tags=[["d", "ä"]],
)
TEXT = json.dumps(EVENT, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    "sent",
    [
        compact(["EVENT", "live-0", EVENT]),
        json.dumps(["EVENT", "live-0", EVENT]),
        json.dumps(["EVENT", "live-0", EVENT], ensure_ascii=False),
        json.dumps(["EVENT", "live-0", EVENT]).replace('\\"', "\\u0022"),
    ],
)
def test_however_a_relay_writes_an_event_it_is_explained(sent: str) -> None:
    account = Account()
    account.explain(TEXT, "live-0")
    assert account.settle(len(sent.encode())) == 0


def test_an_event_that_was_dropped_is_a_surplus() -> None:
    sent = len(compact(["EVENT", "live-0", EVENT]).encode())
    account = Account()
    account.explain(TEXT, "live-0")
    account.explain('["EOSE","live-0"]')
    received = sent + 17 + sent
    assert 0 < account.surplus(received) <= sent
    assert account.settle(received) > 100
    assert account.settle(received) == 0
    assert account.settle(received + 7) == 7


def test_a_proxy_is_an_address() -> None:
    assert ProxySettings("socks5h://127.0.0.1:9050").address == "127.0.0.1:9050"
    assert ProxySettings("socks5://localhost:9050", "all").address == "127.0.0.1:9050"
    for wrong in ("http://127.0.0.1:1", "127.0.0.1:9050", "socks5h://host"):
        with pytest.raises(ConfigError):
            _ = ProxySettings(wrong).address


def test_a_key_file_without_a_key_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    path = tmp_path / "key"

    def endpoint() -> RelayEndpoint:
        return RelayEndpoint(RelaySettings("wss://relay", auth_key_file=path), None, RelayTiming())

    with pytest.raises(ConfigError, match="no key"):
        endpoint().keys()
    path.write_text("not a key")
    with pytest.raises(ConfigError, match="no key"):
        endpoint().keys()
    path.write_text(SECRET.hex() + "\n")
    assert endpoint().keys() is not None
    assert RelayEndpoint(RelaySettings("wss://relay"), None, RelayTiming()).keys() is None


def test_an_address_that_is_none_is_a_mistake_of_the_operator() -> None:
    RelayEndpoint(RelaySettings("wss://relay.example"), None, RelayTiming()).check()
    with pytest.raises(ConfigError, match="address"):
        RelayEndpoint(RelaySettings("https://relay.example"), None, RelayTiming()).check()
    with pytest.raises(ConfigError, match="proxy"):
        RelayEndpoint(
            RelaySettings("wss://relay.example"), ProxySettings("nonsense"), RelayTiming()
        ).check()

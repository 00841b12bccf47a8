"""nostr-sdk 0.45.1 and its oddities; only this file, line.py and pager.py know the library.

Each connection has a client of its own, so nothing of an older one survives in it: no registered
subscription with an old `since`, no reconnect counters for life, no other relay's verification
cache. The library's own reconnecting is off: `try_connect` is the only call that says why there is
no connection, and waiting is ours to do. Status is polled, because an exception in the monitor's
callback ends the process. Reference: nostr-sdk.md sections 2, 6, 8.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec
import nostr_sdk as sdk

from raised.domain.event import Event
from raised.errors import ConfigError, Unavailable
from raised.nostr.filters import Filter
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming

_CODES: Final[Mapping[str, str]] = {
    "lookup": "unknown_host",
    "timeout": "timeout",
    "timed out": "timeout",
    "certificate": "tls",
    "Issuer": "tls",
    "tls": "tls",
    "socks": "proxy",
    "Socks": "proxy",
    "refused": "refused",
    "HTTP": "refused",
}

# Events come as the library's own JSON, so their shape holds; ids and keys are lower-case hex.
decode_event: Final = msgspec.json.Decoder(Event).decode


@dataclass(slots=True)
class Account:
    """What of the bytes of a connection we can explain.

    The library drops events that it finds wrong, and garbage, without a word; but it counts
    bytes. Those that became neither an event nor a message we saw were something like that.
    """

    explained: int = 0
    refused: int = 0  # of those: good events, but nobody asked for them
    settled: int = 0  # bytes received when they were last compared

    def explain(self, text: str, subscription_id: str = "") -> None:
        """Allow for a message: its size, and as much as another writer of JSON may take for it."""
        size = len(text.encode())
        escapes = 6 * (size - len(text)) + 4 * text.count("\\")
        spaces = text.count(",") + text.count(":")
        self.explained += size + escapes + spaces + len(subscription_id) + 20

    def refuse(self, text: str) -> None:
        """Hold an event against the relay, though it is explained."""
        self.refused += len(text.encode())

    def surplus(self, received: int) -> int:
        """Bytes since they were settled that are not explained so far, or refused."""
        return max(0, received - self.settled - self.explained) + self.refused

    def settle(self, received: int) -> int:
        """The surplus, once and for all."""
        surplus = self.surplus(received)
        self.settled, self.explained, self.refused = received, 0, 0
        return surplus


@dataclass(frozen=True, slots=True)
class RelayEndpoint:
    """How a relay is reached."""

    settings: RelaySettings
    proxy: ProxySettings | None
    timing: RelayTiming

    def check(self) -> None:
        """Raise ConfigError when this can never lead to a relay."""
        self.keys()
        self._options()
        try:
            _ = self.url
        except sdk.NostrSdkError as error:
            raise ConfigError(f"relay {self.settings.url}: not the address of a relay") from error

    @property
    def url(self) -> sdk.RelayUrl:
        """The address, normalised."""
        return sdk.RelayUrl.parse(self.settings.url)

    def keys(self) -> sdk.Keys | None:
        """The key that authenticates us, made for nothing else. Raises ConfigError."""
        path = self.settings.auth_key_file
        if path is None:
            return None
        try:
            return sdk.Keys.parse(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError, sdk.NostrSdkError) as error:
            raise ConfigError(f"relay {self.settings.url}: no key in auth_key_file") from error

    def client(self, sink: sdk.AdmitPolicy | None = None) -> sdk.Client:
        """A client for one connection."""
        builder = sdk.ClientBuilder().connect_timeout(timedelta(seconds=self.timing.connect))
        if sink is not None:
            builder = builder.admit_policy(sink)
        if (keys := self.keys()) is not None:
            builder = builder.authenticator(sdk.SignerAuthenticator(keys))
        return builder.build()

    async def connect(self, client: sdk.Client) -> sdk.Relay:
        """The relay, connected. Raises Unavailable with the reason as its code."""
        await client.add_relay(self.url, opts=self._options())
        out = await client.try_connect(timeout=timedelta(seconds=self.timing.connect))
        relay = await client.relay(self.url)
        if out.failed or relay is None:
            reason = next(iter(out.failed.values()), "")
            code = next((code for word, code in _CODES.items() if word in reason), "unreachable")
            raise Unavailable(self.settings.url, "no connection", code)
        return relay

    def _options(self) -> sdk.RelayOptions:
        # A relay's options replace the client's: everything that matters stands here.
        # Not among it: verify_subscriptions, which loses events (matching.py).
        # The size of a message is limit enough: a list may well have more tags than are usual.
        options = sdk.RelayOptions().reconnect(False)  # noqa: FBT003
        options = options.limits(sdk.RelayLimits().event_max_num_tags(None))
        if self.proxy is None:
            return options
        address = self.proxy.address
        all_ = self.proxy.use == "all"
        return options.proxy(sdk.Proxy.all(address) if all_ else sdk.Proxy.onion(address))


async def close_client(client: sdk.Client) -> None:
    """End a client. The pause lets callbacks in flight finish: else the interpreter may crash."""
    await client.shutdown()
    await asyncio.sleep(0.1)


def library_filter(asked: Filter) -> sdk.Filter:
    """The filter as the library wants it."""
    return sdk.Filter.from_json(json.dumps(asked))


def use_running_loop() -> None:
    """Have the library's callbacks run on the running event loop."""
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())

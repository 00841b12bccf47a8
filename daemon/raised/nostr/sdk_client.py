"""Clients of nostr-sdk 0.45.1: one for each connection, with reconnecting of the library off.

A client of its own means that nothing of an older connection survives in it: no registered
subscription with an old `since`, no reconnect counters for life, no other relay's verification
cache. `try_connect` is the only call that says why there is no connection; we wait and retry
ourselves. Status is polled, because an exception in the callback of a monitor ends the process.
Source: docs/nostr.md 2, 6, 8.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import msgspec
import nostr_sdk as sdk

from raised.domain.event import Event
from raised.errors import ConfigError, Unavailable
from raised.nostr.filters import Filter
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming

# Words of the library's error texts, which carry no codes, and our health codes for them.
_ERROR_CODES: Final[Mapping[str, str]] = {
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
PATCHED_VERSION: Final = "0.45.1"
_AUTH_KIND: Final = 22242
_CALL_ASYNC: Final = "_uniffi_trait_interface_call_async_with_error"
# Leaving the interpreter with a callback in flight segfaults (docs/nostr.md 7).
_CALLBACKS_FINISH_SECONDS: Final = 0.1

# The library has parsed the event, so its shape holds; ids and keys are lower-case hex.
decode_event: Final = msgspec.json.Decoder(Event).decode


@dataclass(frozen=True, slots=True)
class RelayEndpoint:
    """How a relay is reached: its address and key, the proxy, and the time limits."""

    settings: RelaySettings
    proxy: ProxySettings | None
    timing: RelayTiming

    def check(self) -> None:
        """Raise ConfigError when no connection can be made with these settings."""
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

    @property
    def proxy_address(self) -> str | None:
        """The proxy that this relay is reached through, an IP address and a port; None without."""
        if self.proxy is None:
            return None
        is_onion = (urlsplit(self.settings.url).hostname or "").endswith(".onion")
        return self.proxy.address if is_onion or self.proxy.use == "all" else None

    def keys(self) -> sdk.Keys | None:
        """The key for NIP-42 authentication, used for nothing else. Raises ConfigError."""
        path = self.settings.auth_key_file
        if path is None:
            return None
        try:
            return sdk.Keys.parse(path.read_text(encoding="ascii").strip())
        except OSError as error:
            why = f"{path}: {error.strerror}"
            raise ConfigError(f"relay {self.settings.url}: auth_key_file: {why}") from error
        except (ValueError, sdk.NostrSdkError) as error:
            raise ConfigError(
                f"relay {self.settings.url}: auth_key_file: {path} holds no secret key in hex"
            ) from error

    def client(self, policy: sdk.AdmitPolicy | None = None) -> sdk.Client:
        """A client for one connection."""
        builder = sdk.ClientBuilder().connect_timeout(
            timedelta(seconds=self.timing.connect_timeout)
        )
        if policy is not None:
            builder = builder.admit_policy(policy)
        if (keys := self.keys()) is not None:
            builder = builder.authenticator(sdk.SignerAuthenticator(keys))
        return builder.build()

    async def connect(self, client: sdk.Client) -> sdk.Relay:
        """The relay, connected. Raises Unavailable with the reason as its code."""
        await client.add_relay(self.url, opts=self._options())
        out = await client.try_connect(timeout=timedelta(seconds=self.timing.connect_timeout))
        relay = await client.relay(self.url)
        if out.failed or relay is None:
            reason = next(iter(out.failed.values()), "")
            codes = (code for word, code in _ERROR_CODES.items() if word in reason)
            raise Unavailable(self.settings.url, "no connection", next(codes, "unreachable"))
        return relay

    def _options(self) -> sdk.RelayOptions:
        # A relay's options replace the client's, so all that matter are set here. Not among them:
        # verify_subscriptions, which loses events (filters.RequestedFilters).
        options = sdk.RelayOptions().reconnect(False)  # noqa: FBT003
        # The message size is limit enough: a deny list may have more tags than are usual.
        options = options.limits(sdk.RelayLimits().event_max_num_tags(None))
        if self.proxy is None:
            return options
        address = self.proxy.address
        for_all = self.proxy.use == "all"
        return options.proxy(sdk.Proxy.all(address) if for_all else sdk.Proxy.onion(address))


async def close_client(client: sdk.Client) -> None:
    """Shut a client down, and let the callbacks in flight finish."""
    await client.shutdown()
    await asyncio.sleep(_CALLBACKS_FINISH_SECONDS)


def auth_event(keys: sdk.Keys, url: str, challenge: str) -> str:
    """The event that answers a relay's challenge, as JSON. Source: NIP-42."""
    tags = [sdk.Tag.parse(["relay", url]), sdk.Tag.parse(["challenge", challenge])]
    event = sdk.EventBuilder(sdk.Kind(_AUTH_KIND), "").tags(tags).finalize(keys)
    text: str = event.as_json()
    return text


def library_filter(conditions: Filter) -> sdk.Filter:
    """The filter as an object of the library."""
    return sdk.Filter.from_json(json.dumps(conditions))


def use_running_loop() -> None:
    """Run the library's callbacks on the running event loop."""
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())


def patch_callbacks() -> bool:
    """Let callbacks answer on the library's thread; False when this version is not known.

    Every callback costs a task on our event loop and a wake-up, while the relay's connection
    waits: half of the time that an event takes. A callback that returns a status instead of a
    coroutine is answered at once. The patched name is internal to 0.45.1; with another version
    nothing is patched, and all callbacks run on our loop, which is slower and as correct.
    """
    if version("nostr-sdk") != PATCHED_VERSION:
        return False
    module = sdk.nostr_sdk
    call_async = getattr(module, _CALL_ASYNC, None)
    if call_async is None:
        return False
    if not hasattr(call_async, "unpatched"):
        setattr(module, _CALL_ASYNC, _with_direct_answers(call_async))
    return True


def _with_direct_answers(call_async: Callable[..., None]) -> Callable[..., None]:
    def call(
        make_call: Callable[[], object],
        dropped: object,
        handle_success: Callable[[sdk.AdmitStatus], None],
        *rest: object,
    ) -> None:
        answer = make_call()
        if isinstance(answer, sdk.AdmitStatus):
            handle_success(answer)
        else:
            call_async(lambda: answer, dropped, handle_success, *rest)

    call.unpatched = call_async  # type: ignore[attr-defined]  # marks it as patched
    return call

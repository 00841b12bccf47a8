"""The configuration in the words of each source."""

from typing import cast

from raised.chain.settings import ChainSettings, ExplorerSettings, Flavour, Verify
from raised.config import Config
from raised.nostr.settings import ProxySettings, RelaySettings


def relay_settings(config: Config) -> tuple[RelaySettings, ...]:
    """The relays to follow."""
    return tuple(
        RelaySettings(relay.url, relay.write, relay.auth_key_file) for relay in config.relays
    )


def proxy_settings(config: Config) -> ProxySettings | None:
    """The proxy for relays."""
    if config.proxy is None:
        return None
    return ProxySettings(config.proxy.socks5, "all" if config.proxy.use == "all" else "onion")


def explorer_settings(config: Config) -> tuple[ExplorerSettings, ...]:
    """The explorers to ask, each with the proxy it is behind."""
    return tuple(
        ExplorerSettings(
            explorer.url, cast("Flavour | None", explorer.flavour), _proxy_of(config, explorer.url)
        )
        for explorer in config.chain.explorers
    )


def _proxy_of(config: Config, url: str) -> str | None:
    proxy = config.proxy
    if proxy is None or (proxy.use == "onion" and ".onion" not in url):
        return None
    return proxy.socks5


def chain_settings(config: Config) -> ChainSettings:
    """How the chain is followed."""
    chain = config.chain
    return ChainSettings(
        explorers=explorer_settings(config),
        confirmations=chain.confirmations,
        verify=cast("Verify | None", chain.verify),
        catch_up_blocks=chain.catch_up_blocks,
        finality=chain.finality,
        agreement=chain.agreement,
    )

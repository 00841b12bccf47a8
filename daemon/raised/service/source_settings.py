"""The configuration as settings of each source."""

from pathlib import Path
from typing import cast

from raised.btcpay.settings import StoreSettings
from raised.chain.settings import ChainSettings, ExplorerSettings, Flavour, Verify
from raised.config.load import Config, read_config
from raised.config.stores import API_KEY, WEBHOOK_SECRET, Store, read_secret, secret_variable
from raised.domain.btcpay.invoice import BITCOIN_METHODS
from raised.errors import ConfigError
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming


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


def store_settings(config: Config) -> tuple[StoreSettings, ...]:
    """The stores to follow, each with its key.

    Raises:
        ConfigError: a key is missing or cannot be read.
    """
    problems: list[str] = []
    stores: list[StoreSettings] = []
    for store in config.stores:
        try:
            stores.append(settings_of_store(config, store))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(stores)


def key_problems(config: Config) -> list[str]:
    """What is wrong with the keys of relays and stores, which only the daemon reads."""
    problems: list[str] = []
    for relay in relay_settings(config):
        try:
            RelayEndpoint(relay, proxy_settings(config), RelayTiming()).check()
        except ConfigError as error:
            problems += error.problems
    try:
        store_settings(config)
    except ConfigError as error:
        problems += error.problems
    return problems


def load_with_keys(path: Path | None = None) -> Config:
    """The configuration in force, with all keys that the daemon needs.

    Raises:
        ConfigError: with every problem found, those of keys among them.
    """
    config, problems = read_config(path)
    problems += key_problems(config)
    if problems:
        raise ConfigError(problems)
    return config


def settings_of_store(config: Config, store: Store) -> StoreSettings:
    """One store to follow, with its key.

    Raises:
        ConfigError: the key is missing or cannot be read.
    """
    problems: list[str] = []
    api_key = _api_key(config, store.label, problems)
    if problems:
        raise ConfigError(problems)
    return keyed_store(config, store, api_key)


def keyed_store(config: Config, store: Store, api_key: str) -> StoreSettings:
    """A store with the key to ask it with."""
    rules = [
        rule
        for campaign in config.campaigns
        for rule in campaign.rules
        if rule.store == store.label
    ]
    apps = {rule.crowdfund_app for rule in rules if rule.crowdfund_app is not None}
    return StoreSettings(
        label=store.label,
        url=store.url,
        store_id=store.store_id,
        api_key=api_key,
        kept_metadata=frozenset(store.metadata_keys)
        | {rule.reads for rule in rules if rule.reads is not None},
        crowdfund_apps=tuple(sorted(apps)),
        bitcoin_methods=BITCOIN_METHODS | frozenset(store.bitcoin_methods),
        expects_events=(store.label, WEBHOOK_SECRET) in config.environment.secret_files,
        webhook_urls=_webhook_urls(config, store.label),
        ca_file=store.ca_file,
        proxy=_proxy_of(config, store.url),
    )


def _webhook_urls(config: Config, label: str) -> tuple[str, ...]:
    """Where a store's webhook may deliver; unknown without RAISED_PUBLIC_URL."""
    base = (config.environment.public_url or "").rstrip("/")
    if not base:
        return ()
    short = [f"{base}/webhook"] if len(config.stores) == 1 else []
    return (f"{base}/webhooks/btcpay/{label}", *short)


def _api_key(config: Config, label: str, problems: list[str]) -> str:
    file = config.environment.secret_files.get((label, API_KEY))
    try:
        key = read_secret(file) if file is not None else None
    except ConfigError as error:
        problems += error.problems
        return ""
    if key is None:
        where = f"{file.path} is not there" if file else "is not set"
        problems.append(
            f"{secret_variable(label, API_KEY)}: {where}: the file of an API key is needed that "
            f"may view the invoices of {label}"
        )
    elif not key.isascii() or not key.isprintable() or " " in key:
        problems.append(f"{secret_variable(label, API_KEY)}: holds more than a key")
    return key or ""

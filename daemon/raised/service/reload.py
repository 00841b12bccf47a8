"""SIGHUP: relays.toml is read again. Everything is checked first, then all of it is applied."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Never

import structlog

from raised.btcpay.source import StoreSource
from raised.config.load import Config
from raised.domain.observation import Observation
from raised.errors import ConfigError
from raised.nostr.source import RelaySource
from raised.service.config_observations import campaigns_configured, sources_configured
from raised.service.source_settings import load_with_keys, relay_settings, store_settings

_AT_START: Final = ("chain", "proxy", "retention")  # settings that only a restart applies

_log = structlog.get_logger()


class Reload:
    """Applies a changed configuration while the daemon runs; one with a problem changes nothing."""

    def __init__(self, config: Config, relays: RelaySource, stores: StoreSource) -> None:
        self._config = config
        self._relays = relays
        self._stores = stores
        self._requested = asyncio.Event()
        self._awaited: Observation | None = None
        self._committed = asyncio.Event()
        # At once, not when `follow` begins: without a handler SIGHUP ends the process.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._requested.set)

    def on_commit(self, batch: Sequence[Observation]) -> None:
        """The writer has committed these."""
        if any(observation is self._awaited for observation in batch):
            self._committed.set()

    async def follow(self, observations: asyncio.Queue[Observation]) -> Never:
        """Reload whenever SIGHUP was received, for ever."""
        while True:
            await self._requested.wait()
            self._requested.clear()
            try:
                new = self._load()
                config = self._with_start_settings(new)
                follow_relays = self._relays.prepare(relay_settings(config))
                follow_stores = self._stores.prepare(store_settings(config))
            except ConfigError as error:
                _log.error("not reloaded, everything stays as it was", problems=error.problems)
                continue
            changed = [name for name in _AT_START if getattr(new, name) != getattr(config, name)]
            if changed:
                _log.warning("only a restart applies these settings", settings=changed)
            await self._commit(config, observations)
            follow_relays()
            follow_stores()
            _log.info("reloaded", relays=len(config.relays), stores=len(config.stores))

    def _load(self) -> Config:
        """The file as it is now.

        Raises:
            ConfigError: it has a problem, or names another network.
        """
        config = load_with_keys(self._config.path)
        for warning in config.warnings:
            _log.warning("configuration", warning=warning)
        network = self._config.network
        if config.network != network:
            raise ConfigError(
                f"network: the record is of {network}; {config.network} needs a record of its own"
            )
        return config

    def _with_start_settings(self, config: Config) -> Config:
        old = self._config
        return replace(config, chain=old.chain, proxy=old.proxy, retention=old.retention)

    async def _commit(self, config: Config, observations: asyncio.Queue[Observation]) -> None:
        """Have the record know the configuration before the sources follow it: a store that reads
        other metadata than before looks up where to begin when it starts.
        """
        last = campaigns_configured(config)
        self._awaited = last
        self._committed.clear()
        await observations.put(sources_configured(config))
        await observations.put(last)
        await self._committed.wait()

"""The configuration as observations: what the record must know of it."""

from raised import __version__
from raised.clock import now
from raised.config.load import Config
from raised.config.stores import WEBHOOK_SECRET, Store
from raised.domain.observation import (
    CampaignsConfigured,
    ConfiguredStore,
    DaemonStarted,
    SourcesConfigured,
)
from raised.service.source_settings import keyed_store


def daemon_started() -> DaemonStarted:
    """This process writes to the record from now on."""
    return DaemonStarted(now(), __version__)


def sources_configured(config: Config) -> SourcesConfigured:
    """Which sources are followed."""
    return SourcesConfigured(
        at=now(),
        network=config.network,
        confirmations=config.chain.confirmations,
        relays=tuple(relay.url for relay in config.relays),
        explorers=tuple(explorer.url for explorer in config.chain.explorers),
        stores=tuple(_configured_store(config, store) for store in config.stores),
    )


def campaigns_configured(config: Config) -> CampaignsConfigured:
    """What belongs to which campaign, and which stores are expected to send webhooks."""
    expected = {
        store.label: (store.label, WEBHOOK_SECRET) in config.environment.secret_files
        for store in config.stores
    }
    return CampaignsConfigured(now(), config.campaigns, expected)


def _configured_store(config: Config, store: Store) -> ConfiguredStore:
    settings = keyed_store(config, store, "")
    return ConfiguredStore(
        label=store.label,
        url=store.url,
        store_id=store.store_id,
        metadata_keys=store.metadata_keys,
        kept_metadata=tuple(sorted(settings.kept_metadata)),
        crowdfund_apps=settings.crowdfund_apps,
        bitcoin_methods=store.bitcoin_methods,
    )

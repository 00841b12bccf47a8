"""What the record is told of the configuration: sources, stores, and what belongs together."""

from sqlalchemy.ext.asyncio import AsyncConnection

from raised import __version__
from raised.clock import now
from raised.config.load import Config
from raised.config.stores import WEBHOOK_SECRET, Store
from raised.db.facts.sources import (
    forget_sweeps,
    keep_sources,
    put_daemon,
    put_settings,
    read_settings,
)
from raised.domain.observation import CampaignsConfigured
from raised.service.source_settings import keyed_store


def campaigns_configured(config: Config) -> CampaignsConfigured:
    """What belongs together, for the record."""
    expected = {
        one.label: (one.label, WEBHOOK_SECRET) in config.environment.secret_files
        for one in config.stores
    }
    return CampaignsConfigured(now(), config.campaigns, expected)


async def tell_start(conn: AsyncConnection, config: Config) -> None:
    """Let the record say which daemon writes from now on, and what it follows."""
    await put_daemon(conn, __version__, now(), await read_settings(conn))
    await tell_sources(conn, config)


async def tell_sources(conn: AsyncConnection, config: Config) -> None:
    """Let the record say which sources are followed, and forget how others did."""
    relays = [relay.url for relay in config.relays]
    explorers = [explorer.url for explorer in config.chain.explorers]
    stores = {store.label: _told(store, config) for store in config.stores}
    await keep_sources(conn, relays, explorers, stores)
    await forget_sweeps(conn, stores)
    await put_settings(
        conn,
        {
            "network": config.network,
            "confirmations": config.chain.confirmations,
            "relays": relays,
            "explorers": explorers,
            "stores": list(stores.values()),
        },
    )


def _told(store: Store, config: Config) -> dict[str, object]:
    """What the API must know of a store, and what a full sweep rests on."""
    settings = keyed_store(config, store, "")
    return {
        "label": store.label,
        "url": store.url,
        "store_id": store.store_id,
        "metadata_keys": list(store.metadata_keys),
        "kept_metadata": sorted(settings.kept_metadata),
        "crowdfund_apps": list(settings.crowdfund_apps),
    }

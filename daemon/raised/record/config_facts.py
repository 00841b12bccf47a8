"""What the daemon follows, as the record keeps it for the API and for the next start."""

from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import sources
from raised.db.stored_settings import StoredSettings, StoredStore
from raised.domain.observation import DaemonStarted, SourcesConfigured


async def apply_start(conn: AsyncConnection, started: DaemonStarted) -> None:
    """Store which daemon writes from now on."""
    await sources.put_daemon(conn, started.version, started.at)


async def apply_sources(conn: AsyncConnection, configured: SourcesConfigured) -> None:
    """Store which sources are followed, and drop the health of the others."""
    stores = tuple(StoredStore(**asdict(store)) for store in configured.stores)
    labels = [store.label for store in stores]
    await sources.drop_unfollowed(conn, configured.relays, configured.explorers, labels)
    # Before the settings are replaced: it compares with those that were in force.
    stores = await sources.drop_outdated_sweeps(conn, stores, configured.at)
    await sources.put_settings(
        conn,
        StoredSettings(
            network=configured.network,
            confirmations=configured.confirmations,
            relays=configured.relays,
            explorers=configured.explorers,
            stores=stores,
        ),
    )

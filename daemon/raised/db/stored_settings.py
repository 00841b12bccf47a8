"""What the daemon has stored of its configuration: one form for the writer and every reader.

The API has no configuration of its own: which sources are followed, and how deep a block must be
buried to count, it knows from here alone.
"""

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import daemon


class StoredStore(msgspec.Struct, frozen=True):
    """A BTCPay store that is followed. `metadata_keys`: what is shown of invoices' metadata;
    `kept_metadata`: what is stored of it, which the rules of campaigns read, too;
    `bitcoin_methods`: payment methods that count beside those that are known. `read_since`: when
    (unix seconds) the last of these settings changed that decide how invoices are read.
    """

    label: str
    url: str = ""
    store_id: str = ""
    metadata_keys: tuple[str, ...] = ()
    kept_metadata: tuple[str, ...] = ()
    crowdfund_apps: tuple[str, ...] = ()
    bitcoin_methods: tuple[str, ...] = ()
    read_since: int = 0


class StoredSettings(msgspec.Struct, frozen=True):
    """Names of the sources that are followed; None: no daemon has stored any, so all known ones."""

    network: str = ""
    confirmations: int = 1
    relays: tuple[str, ...] | None = None
    explorers: tuple[str, ...] | None = None
    stores: tuple[StoredStore, ...] | None = None

    @property
    def store_labels(self) -> tuple[str, ...] | None:
        """The labels of the stores that are followed."""
        return None if self.stores is None else tuple(store.label for store in self.stores)


async def read_stored_settings(conn: AsyncConnection) -> StoredSettings:
    """What the daemon stored last; only defaults before the first has started."""
    text = await conn.scalar(select(daemon.c.settings))
    return StoredSettings() if text is None else msgspec.json.decode(text, type=StoredSettings)

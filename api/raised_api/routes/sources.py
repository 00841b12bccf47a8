"""How the sources do: relays, explorers and stores."""

from litestar.di import NamedDependency

from raised.db.items.explorer_item import Explorer, explorer_items
from raised.db.items.relay_item import Relay, relay_items
from raised.db.items.store_item import Store, store_items
from raised.db.stored_settings import read_stored_settings
from raised_api.http.endpoint import read
from raised_api.http.envelope import WholeList
from raised_api.http.request_context import RequestContext


class RelayList(WholeList[Relay], frozen=True):
    pass


class ExplorerList(WholeList[Explorer], frozen=True):
    pass


class StoreList(WholeList[Store], frozen=True):
    pass


# Latencies and counters move without a change, so these are never cached.
@read(
    "/relays",
    name="relays",
    summary="The relays that are followed, and how they do.",
    is_cached=False,
)
async def relays(context: NamedDependency[RequestContext]) -> RelayList:
    """All relays that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await relay_items(context.conn, settings.relays)
    return RelayList(list(items.values()), None)


@read(
    "/explorers",
    name="explorers",
    summary="The block explorers that are asked, and how they do.",
    is_cached=False,
)
async def explorers(context: NamedDependency[RequestContext]) -> ExplorerList:
    """All explorers that are asked."""
    settings = await read_stored_settings(context.conn)
    items = await explorer_items(context.conn, settings.explorers)
    return ExplorerList(list(items.values()), None)


@read(
    "/stores",
    name="stores",
    summary="The BTCPay stores that are followed, and how they do.",
    is_cached=False,
)
async def stores(context: NamedDependency[RequestContext]) -> StoreList:
    """All stores that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await store_items(context.conn, settings.store_labels)
    return StoreList(list(items.values()), None)


SOURCES = (
    relays,
    explorers,
    stores,
)

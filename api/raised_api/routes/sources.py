"""How the sources do: relays, explorers and stores."""

from litestar.di import NamedDependency

from raised.db.items.invoice_items import store_items
from raised.db.items.items import explorer_items, relay_items
from raised.db.stored_settings import read_stored_settings
from raised_api.http.endpoint import read
from raised_api.http.request_context import RequestContext
from raised_api.openapi import source_schemas


# Latencies and counters move without a change, so these are never cached.
@read(
    "/relays",
    name="relays",
    summary="The relays that are followed, and how they do.",
    schema=source_schemas.RelayList,
    is_cached=False,
)
async def relays(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """All relays that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await relay_items(context.conn, settings.relays)
    return {"items": list(items.values()), "next_cursor": None}


@read(
    "/explorers",
    name="explorers",
    summary="The block explorers that are asked, and how they do.",
    schema=source_schemas.ExplorerList,
    is_cached=False,
)
async def explorers(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """All explorers that are asked."""
    settings = await read_stored_settings(context.conn)
    items = await explorer_items(context.conn, settings.explorers)
    return {"items": list(items.values()), "next_cursor": None}


@read(
    "/stores",
    name="stores",
    summary="The BTCPay stores that are followed, and how they do.",
    schema=source_schemas.StoreList,
    is_cached=False,
)
async def stores(context: NamedDependency[RequestContext]) -> dict[str, object]:
    """All stores that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await store_items(context.conn, settings.store_labels)
    return {"items": list(items.values()), "next_cursor": None}


SOURCES = (
    relays,
    explorers,
    stores,
)

"""How the sources do: relays, explorers and stores."""

from raised.db.items.invoice_items import store_items
from raised.db.items.items import explorer_items, relay_items
from raised.db.stored_settings import read_stored_settings
from raised_api.http.route import BASE, RequestContext, Route
from raised_api.openapi import source_schemas


async def relays(context: RequestContext) -> dict[str, object]:
    """All relays that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await relay_items(context.conn, settings.relays)
    return {"items": list(items.values()), "next_cursor": None}


async def explorers(context: RequestContext) -> dict[str, object]:
    """All explorers that are asked."""
    settings = await read_stored_settings(context.conn)
    items = await explorer_items(context.conn, settings.explorers)
    return {"items": list(items.values()), "next_cursor": None}


async def stores(context: RequestContext) -> dict[str, object]:
    """All stores that are followed."""
    settings = await read_stored_settings(context.conn)
    items = await store_items(context.conn, settings.store_labels)
    return {"items": list(items.values()), "next_cursor": None}


# Latencies and counters move without a change, so these are never kept.
SOURCES = (
    Route(
        path=f"{BASE}/relays",
        name="relays",
        about="The relays that are followed, and how they do.",
        answer=relays,
        shape=source_schemas.RelayList,
        kept=False,
    ),
    Route(
        path=f"{BASE}/explorers",
        name="explorers",
        about="The block explorers that are asked, and how they do.",
        answer=explorers,
        shape=source_schemas.ExplorerList,
        kept=False,
    ),
    Route(
        path=f"{BASE}/stores",
        name="stores",
        about="The BTCPay stores that are followed, and how they do.",
        answer=stores,
        shape=source_schemas.StoreList,
        kept=False,
    ),
)

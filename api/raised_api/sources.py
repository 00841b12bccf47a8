"""How the sources do: relays and explorers."""

from raised.db.items import explorer_items, relay_items
from raised_api import source_shapes as shapes
from raised_api.routes import BASE, Asked, Route


async def relays(asked: Asked) -> dict[str, object]:
    """All relays."""
    return {"items": list((await relay_items(asked.conn)).values()), "next_cursor": None}


async def explorers(asked: Asked) -> dict[str, object]:
    """All explorers."""
    return {"items": list((await explorer_items(asked.conn)).values()), "next_cursor": None}


# Latencies and counters move without a change, so these are never kept.
SOURCES = (
    Route(
        path=f"{BASE}/relays",
        name="relays",
        about="The relays that are followed, and how they do.",
        answer=relays,
        shape=shapes.RelayList,
        kept=False,
    ),
    Route(
        path=f"{BASE}/explorers",
        name="explorers",
        about="The block explorers that are asked, and how they do.",
        answer=explorers,
        shape=shapes.ExplorerList,
        kept=False,
    ),
)

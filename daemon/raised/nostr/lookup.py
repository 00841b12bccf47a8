"""One question to all relays: who has these events?"""

import asyncio
from collections.abc import Iterable, Sequence

from raised.domain.event import Event, is_authentic
from raised.errors import SourceError
from raised.nostr.health import RelayHealth
from raised.nostr.page_reader import open_pager
from raised.nostr.sdk_client import Way, use_this_loop


async def find_events(ways: Sequence[Way], ids: Iterable[str]) -> dict[str, Event]:
    """Those of these events that any of the relays gives, authentic, by id.

    Trouble with a relay is as if it had none of them.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    use_this_loop()
    answers = await asyncio.gather(*(_ask(way, wanted) for way in ways))
    return {event.id: event for answer in answers for event in answer}


async def _ask(way: Way, ids: list[str]) -> list[Event]:
    health = RelayHealth(way.settings.url, way.pace.grudge)
    try:
        async with open_pager(way, health) as pager:
            page = await pager.page({"ids": ids})
    except SourceError:
        return []
    return [event for event in page.events if event.id in ids and is_authentic(event)]

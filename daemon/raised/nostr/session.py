"""What is done on one connection, in this order, and again whenever something changes.

Hear first, read back then: what is published while we read comes live.
"""

import asyncio
import contextlib
from typing import Never

from raised.errors import Refused
from raised.nostr.catch_up import Reading
from raised.nostr.connection import Line
from raised.nostr.fetch_by_id import Asking
from raised.nostr.filters import public_lanes
from raised.nostr.relay_state import Standing
from raised.nostr.subscriptions import Live


async def attend(line: Line, standing: Standing) -> Never:
    """Do what there is to do until the connection is lost. Raises Unavailable."""
    timing = standing.endpoint.timing
    live = Live(line, standing)
    reading = Reading(line, standing, live.keep)
    asking = Asking(line, standing)
    while True:
        standing.news.clear()
        await live.keep()
        ended = await reading.keep()
        await asking.keep(now=ended)
        if line.quiet_seconds() > timing.probe:
            await _probe(line)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timing.poll):
                await standing.news.wait()


async def _probe(line: Line) -> None:
    """Ask for a sign of life: for minutes a half-open connection shows in no other way."""
    with contextlib.suppress(Refused):
        await line.page({**public_lanes()[0], "limit": 1})

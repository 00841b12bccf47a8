"""A page whose failure reaches no further than its own request (docs/containment.md).

A relay may never end the answer to one request while it answers everything else. Such a request
counts as refused, as if by a CLOSED.
"""

from collections.abc import Sequence
from typing import Final

from raised.domain.event import Event
from raised.errors import Refused, Unavailable
from raised.nostr.connection import RelayConnection
from raised.nostr.filters import Filter

_ANY: Final[Filter] = {"ids": ["0" * 64], "limit": 1}


async def contained_page(connection: RelayConnection, conditions: Filter) -> Sequence[Event]:
    """The page. Raises Refused when the relay fails on this request alone, else Unavailable."""
    try:
        return await connection.page(conditions)
    except Unavailable as error:
        if error.code != "silent":
            raise
        await connection.page(_ANY)  # raises Unavailable when it answers nothing else either
        raise Refused("relay", "it does not answer this request", "silent") from error

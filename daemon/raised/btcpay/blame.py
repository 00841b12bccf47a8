"""Whether a failed request accuses the server, or only what it was asked for.

A server is judged by all its answers: when it still answers a question that no invoice can spoil,
what failed is the question's own trouble and stops nothing else (docs/containment.md). That holds
for a refused key, too: a proxy in front may refuse one route.
"""

from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.errors import SourceError, Unavailable
from raised.net.http_client import RESTING, UNTRUSTED

_LONGEST_WAIT_SECONDS: Final = 3600  # whatever is asked for: nothing waits for years
_OF_SERVER: Final = frozenset({RESTING, UNTRUSTED})


async def is_server_at_fault(server: Greenfield, error: SourceError) -> bool:
    """Whether the server gives no answer to anything now; one more request tells."""
    if error.code in _OF_SERVER:
        return True
    try:
        await server.check_access()
    except SourceError:
        return True
    return False


def wanted_wait(error: SourceError) -> float:
    """The seconds that whoever asked is to wait, as the server says; 0 when it does not say."""
    wanted = error.retry_after if isinstance(error, Unavailable) else None
    return float(min(wanted or 0, _LONGEST_WAIT_SECONDS))

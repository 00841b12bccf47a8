"""Times as the API writes them: RFC 3339, UTC, to the second."""

from datetime import UTC, datetime
from typing import Final

Time = str  # RFC 3339

# The last second of year 9999. Anybody may claim any date in an event; RFC 3339 ends there.
_LAST_INSTANT: Final = 253_402_300_799


def rfc3339(seconds: int) -> Time:
    """Unix seconds of our own clock or calendar as RFC 3339 UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z"


def instant(seconds: int | None) -> Time | None:
    """Unix seconds that others claim as RFC 3339 UTC; None when unknown, before 1970, or beyond
    what RFC 3339 can write.
    """
    if seconds is None or not 0 <= seconds <= _LAST_INSTANT:
        return None
    return rfc3339(seconds)

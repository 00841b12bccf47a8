"""The events that the record wants from relays by their ids, as a number to compare."""

from collections.abc import Iterable
from hashlib import sha256


def digest_of_events(event_ids: Iterable[str]) -> int:
    """A number that stands for these events; below 2^63."""
    text = "\n".join(sorted(event_ids))
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1

"""What the record wants from relays beside their back-fills, as a number to compare."""

from collections.abc import Iterable
from hashlib import sha256


def digest_of_wanted(event_ids: Iterable[str], pubkeys: Iterable[str]) -> int:
    """A number that stands for these events, and for all events of these keys; below 2^63."""
    text = "\n".join([*sorted(event_ids), "", *sorted(pubkeys)])
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1

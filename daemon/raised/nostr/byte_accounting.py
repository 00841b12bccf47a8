"""How many of the bytes of a connection were messages that we saw.

nostr-sdk drops garbage, and events whose id or signature is wrong, without a word, but it counts
bytes (docs/nostr.md 5.1, 6.5). Bytes that became neither an event nor another message may come
from a relay that sends unusable data, or were events that the library leaves out for other
reasons: unexplained_bytes.py finds out.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from raised import clock
from raised.errors import Unavailable
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth

# About 330,000 invalid events, which take nostr-sdk some 25 s to verify; then we disconnect.
UNUSABLE_MAX: Final = 256_000_000
PAGES_KEPT: Final = 8  # of those requested when bytes became no message
FRAME_BYTES: Final = 20  # of '["EVENT","",]' and the WebSocket header


@dataclass(slots=True)
class ByteAccounting:
    """Counts since the last `close_period`, all in bytes."""

    accounted: int = 0
    unrequested: int = 0  # of those accounted for: valid events that nobody requested
    period_start: int = 0  # bytes received when the last period was closed

    def add_message(self, text: str, subscription_id: str = "") -> None:
        """Account for a message: its size, and what another JSON encoder may add to it."""
        size = len(text.encode())
        escapes = 6 * (size - len(text)) + 4 * text.count("\\")
        spaces = text.count(",") + text.count(":")
        self.accounted += size + escapes + spaces + len(subscription_id) + FRAME_BYTES

    def add_unrequested(self, text: str) -> None:
        """Count an event against the relay, though it is accounted for."""
        self.unrequested += len(text.encode())

    def unusable(self, received: int) -> int:
        """Bytes of this period that are not accounted for, or were not requested."""
        return max(0, received - self.period_start - self.accounted) + self.unrequested

    def close_period(self, received: int) -> int:
        """Begin a new period; the unusable bytes of the last one."""
        unusable = self.unusable(received)
        self.period_start, self.accounted, self.unrequested = received, 0, 0
        return unusable


class TrafficMonitor:
    """Watches the received bytes of a live connection and reports unusable ones to its health.

    `unexplained`: the filters of the pages that were requested when bytes became no message; empty
    for a live subscription; None when all is explained.
    """

    def __init__(self, health: RelayHealth, byte_check_after: float) -> None:
        self.accounting = ByteAccounting()
        self.received = 0
        self.unexplained: list[Filter] | None = None
        self._pages: deque[Filter] = deque(maxlen=PAGES_KEPT)
        self._health = health
        self._byte_check_after = byte_check_after
        self._received_at = 0.0

    def note_page(self, conditions: Filter) -> None:
        """A page of this filter is requested."""
        self._pages.append(conditions)

    def start(self) -> None:
        """Count the silence from now on."""
        self._received_at = asyncio.get_running_loop().time()

    def quiet_seconds(self) -> float:
        """Seconds since anything was received."""
        return asyncio.get_running_loop().time() - self._received_at

    def check(self, received: int, *, is_idle: bool) -> None:
        """Take note of the bytes received so far. `is_idle`: every event was looked at.

        Raises Unavailable when too many were unusable.
        """
        if received != self.received:
            self.received, self._received_at = received, asyncio.get_running_loop().time()
            if self.accounting.unusable(received) > UNUSABLE_MAX:
                raise Unavailable(self._health.url, "far too much unusable data", "cut_off")
        # Only after a pause: bytes of a message that is still on its way belong to no message yet.
        elif is_idle and self.quiet_seconds() >= self._byte_check_after:
            self._close_period(received)

    def _close_period(self, received: int) -> None:
        unrequested = self.accounting.unrequested
        unexplained = self.accounting.close_period(received) - unrequested
        self._health.record_unusable(unrequested, clock.now())
        self._health.count_unexplained(unexplained)
        if unexplained:
            self.unexplained = [*(self.unexplained or ()), *self._pages][-PAGES_KEPT:]
        self._pages.clear()

"""REQs of one connection that wait for their EOSE or CLOSED. Source: NIP-01, NIP-42."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from raised.domain.event import Event
from raised.nostr.health import RelayHealth

# Events kept of a page; more than a relay should send at once are ingested like live ones.
PAGE_EVENTS_MAX: Final = 5_000
CLOSED_PREFIXES: Final = frozenset(
    {
        "auth-required", "blocked", "duplicate", "error", "invalid", "pow", "rate-limited",
        "restricted", "unsupported",
    }
)  # fmt: skip


@dataclass(slots=True)
class Request:
    """A REQ and its answer so far. Only a page keeps its events."""

    is_page: bool
    ended: asyncio.Future[str | None]  # None: EOSE; else the prefix of the CLOSED
    events: list[Event] = field(default_factory=list[Event])
    event_count: int = 0
    waits_for_auth: bool = False
    answered_at: float | None = None  # the first message of the answer, by the loop's clock

    def note_answer(self) -> None:
        """Note when the first message of the answer came."""
        if self.answered_at is None:
            self.answered_at = asyncio.get_running_loop().time()


class Requests:
    """The waiting requests by subscription id, and what NIP-42 has to do with them."""

    def __init__(self, health: RelayHealth, *, has_auth_key: bool) -> None:
        self._health = health
        self._has_auth_key = has_auth_key
        self._waiting: dict[str, Request] = {}

    def open(self, subscription_id: str, *, is_page: bool) -> Request:
        """A new request that waits for its end."""
        request = Request(is_page, asyncio.get_running_loop().create_future())
        self._waiting[subscription_id] = request
        return request

    def remove(self, subscription_id: str) -> None:
        """Forget a request, ended or not."""
        del self._waiting[subscription_id]

    def add_to_page(self, subscription_id: str, event: Event) -> bool:
        """Keep the event with the page that it belongs to; False when it belongs to none.

        Events after the EOSE belong to none, nor do those beyond PAGE_EVENTS_MAX. An event that
        came just after the EOSE may still be counted as one before it.
        """
        request = self._waiting.get(subscription_id)
        if request is None or request.ended.done():
            return False
        request.note_answer()
        request.event_count += 1
        if not request.is_page or request.event_count > PAGE_EVENTS_MAX:
            return False
        request.events.append(event)
        return True

    def on_auth_offered(self) -> None:
        """Note that the relay sent an AUTH challenge."""
        self._health.auth = self._health.auth or "offered"

    def on_auth_timeout(self) -> str:
        """Note that the REQ was not answered after AUTH; the prefix that it counts as closed by."""
        self._health.auth = "refused"
        return "auth-required"

    def on_eose(self, subscription_id: str) -> None:
        """End the request, if it waits: all stored events were sent."""
        if self._health.auth == "asked":
            self._health.auth = "ok"
        self._end(subscription_id, None)

    def on_closed(self, subscription_id: str, prefix: str) -> bool:
        """End the request, if it waits; whether anything waited for this subscription."""
        request = self._waiting.get(subscription_id)
        if prefix == "auth-required":
            self._health.auth = "asked" if self._has_auth_key else "wanted"
            if request is not None and self._has_auth_key:
                # The library authenticates and repeats the REQ; if it is refused, no EOSE comes.
                request.waits_for_auth = True
                return True
        return self._end(subscription_id, prefix)

    def _end(self, subscription_id: str, prefix: str | None) -> bool:
        request = self._waiting.get(subscription_id)
        if request is None or request.ended.done():
            return False
        request.note_answer()
        request.ended.set_result(prefix)
        return True


def closed_prefix(reason: str) -> str:
    """The machine-readable prefix of a CLOSED; "error" in place of any other text of a relay."""
    prefix = reason.split(":", 1)[0]
    return prefix if prefix in CLOSED_PREFIXES else "error"

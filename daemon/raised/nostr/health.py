"""The health of a relay: its state, its problems by code, and what was received from it.

Codes are part of the API; the sentences may change.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from raised.domain.observation import Fact, SourceHealth
from raised.net.set_aside import SetAside
from raised.net.source_health import ErrorText, SourceHealthTracker

SENTENCES: Final[Mapping[str, str]] = {
    "unreachable": "no connection",
    "refused": "the connection was refused",
    "unknown_host": "its name is not known",
    "timeout": "no connection in time",
    "tls": "its certificate was not accepted",
    "proxy": "the proxy gave no connection",
    "lost": "the connection broke",
    "silent": "it does not answer",
    "cut_off": "it sent more unusable data than we take; the connection is closed for a while",
    "forged": "it delivered events whose id or signature is wrong",
    "unusable": "it sends what is no valid event that was asked for: bad signatures or garbage",
    "odd_event": "a founding transaction names an event that is signed and cannot be read: its date"
    " or its text is beyond what Nostr allows; its project stays without terms",
    "flood": "it sends far more than was asked for",
    "auth_wanted": "it wants authentication, and no auth_key_file is set",
    "auth_refused": "it did not accept our authentication",
    "closed": "it closed our subscription",
    "incomplete": "what it holds could not be read to the end",
    "full_second": "it holds more events of one second than it shows",
    "notice": "it answered with a notice",
    "not_written": "it did not take an event of a project",
}
_BAD_DATA: Final = frozenset({"forged", "unusable", "flood"})
# The next connection may be treated otherwise by the relay.
_ENDED_WITH_CONNECTION: Final = ("closed", "auth_wanted", "auth_refused", "silent")
# An event that cannot be read will hardly change; a relay may still send another under its id.
ODD_EVENT_FIRST_SECONDS: Final = 3_600.0
ODD_EVENT_MOST_SECONDS: Final = 86_400.0
_BACKFILL: Final = "backfill"  # the key of the problem that a back-fill is refused
_CONNECTION: Final = "connection"  # the key of the problem that there is no connection


class RelayHealth:
    """Counters and problems of a relay since the process started.

    Bad data marks the relay as degraded for `cooldown_seconds`. Counters alone are reported every
    `report_seconds` at most. All times are Unix seconds.
    """

    def __init__(self, url: str, cooldown_seconds: int, report_seconds: float = 0.0) -> None:
        self.url = url
        self.events: Counter[int] = Counter()
        self.forged = 0
        self.last_event_at: int | None = None
        self.cursor_at: int | None = None
        self.complete = False
        self.auth: str | None = None
        self._cooldown_seconds = cooldown_seconds
        self._tracker = SourceHealthTracker(url, report_seconds=report_seconds)
        self._was_tried = False  # nothing is known before the first attempt to connect
        self._updates = 0
        self._unexplained = (0, 0)  # how often, and how many bytes
        self.odd_events = SetAside(
            self._tracker, ODD_EVENT_FIRST_SECONDS, ODD_EVENT_MOST_SECONDS, state="ok"
        )

    @property
    def errors(self) -> Counter[str]:
        """How often each code occurred."""
        return self._tracker.stats.errors

    def on_connected(self) -> None:
        """There is a connection."""
        self._was_tried = True
        self._tracker.end_problem(_CONNECTION)
        self._updates += 1

    def on_disconnected(self, code: str) -> None:
        """There is no connection, and why."""
        self._was_tried = True
        self.errors[code] += 1
        self._tracker.begin_problem(code, SENTENCES[code], "down", key=_CONNECTION)
        self.end_problem(*_ENDED_WITH_CONNECTION)
        self._updates += 1

    def on_backfill_complete(self, began_at: int) -> None:
        """A back-fill that began then has come to its end."""
        self.complete = True
        self.cursor_at = began_at
        self.end_problem("incomplete")
        self._updates += 1

    def begin_problem(self, code: str) -> None:
        """A problem begins, and lasts until `end_problem`; counted when it is new."""
        if self._tracker.begin_problem(code, SENTENCES[code]):
            self.errors[code] += 1
        self._updates += 1

    def begin_backfill_refusal(self, code: str) -> None:
        """Requests of a back-fill are refused, until `end_backfill_refusal`."""
        if self._tracker.begin_problem(code, SENTENCES[code], key=_BACKFILL):
            self.errors[code] += 1
        self._updates += 1

    def end_backfill_refusal(self) -> None:
        """A back-fill was read to its end."""
        self._tracker.end_problem(_BACKFILL)

    def end_problem(self, *codes: str) -> None:
        """These problems have ended. No error when there was none."""
        self._tracker.end_problem(*codes)

    def count_error(self, code: str) -> None:
        """Count what is worth knowing, and no fault of the relay."""
        self.errors[code] += 1
        self._updates += 1

    def record_error(self, code: str, now: int, count: int = 1) -> None:
        """Count an error. Bad data marks the relay for a while."""
        self.errors[code] += count
        self._updates += 1
        if code in _BAD_DATA:
            until_at = now + self._cooldown_seconds
            self._tracker.begin_problem(code, SENTENCES[code], until_at=until_at)

    def record_unusable(self, size: int, now: int) -> None:
        """Count bytes that were no message for us: garbage, or what failed the library's check."""
        if size:
            self.record_error("unusable", now)
            self.errors["unusable_bytes"] += size

    def set_odd_event_aside(self, event_id: str) -> None:
        """An event that is named by the chain cannot be read; it is requested after a pause."""
        self.odd_events.on_failure(event_id, "odd_event", SENTENCES["odd_event"])
        self._updates += 1

    def count_unexplained(self, size: int) -> None:
        """Count bytes that became no message, until it is known what they were."""
        if size:
            self._unexplained = (self._unexplained[0] + 1, self._unexplained[1] + size)
            self.errors["unusable"] += 1
            self.errors["unusable_bytes"] += size
            self._updates += 1

    def blame_unexplained(self, now: int) -> None:
        """They were garbage: the relay sends what nobody signed."""
        self._unexplained = (0, 0)
        self.record_error("unusable", now, 0)

    def excuse_unexplained(self) -> None:
        """They were events that our library leaves out, which is no fault of the relay."""
        times, size = self._unexplained
        self._unexplained = (0, 0)
        self.errors["unusable"] -= times
        self.errors["unusable_bytes"] -= size
        for code in ("unusable", "unusable_bytes"):
            if not self.errors[code]:
                del self.errors[code]
        self._updates += 1

    def record_events(self, now: int, kinds: Iterable[int], *, forged: int) -> None:
        """Count events that passed our check, repeats included, and those that did not."""
        self.events.update(kinds)
        self.last_event_at = now
        self._updates += 1
        if forged:
            self.forged += forged
            self.record_error("forged", now, forged)

    def on_answer(self, now: int, latency_ms: int | None = None) -> None:
        """The relay answered a request to the end."""
        self._tracker.stats.last_success_at = now
        self.end_problem("silent")
        self._updates += 1
        if latency_ms is not None:
            self._tracker.stats.latency_ms = latency_ms

    def due_report(self, now: int) -> SourceHealth | None:
        """The report that is due now: a changed condition at once, changed counters at times."""
        self._tracker.expire(now)
        condition = (
            self._tracker.state,
            self._tracker.condition,
            self._last_error(),
            self.complete,
            self.auth,
        )
        if self._was_tried and self._tracker.is_report_due(condition, self._updates, now):
            return self._report(now)
        return None

    def _last_error(self) -> ErrorText | None:
        # Without a connection, what was noticed last says most: it may be why there is none.
        tracker = self._tracker
        return tracker.last_problem if tracker.state == "down" else tracker.last_error

    def _report(self, now: int) -> SourceHealth:
        facts: dict[str, Fact] = {
            "last_event_at": self.last_event_at,
            "cursor_at": self.cursor_at,
            "backfill_complete": self.complete,
            "events": {str(kind): count for kind, count in sorted(self.events.items())},
            "forged": self.forged,
            "auth": self.auth,
        }
        return SourceHealth(
            kind="relay",
            name=self.url,
            state=self._tracker.state,
            at=now,
            last_success_at=self._tracker.stats.last_success_at,
            last_error=self._last_error(),
            latency_ms=self._tracker.stats.latency_ms,
            errors=dict(self.errors),
            facts=facts,
            problems=self._tracker.report_problems(),
        )

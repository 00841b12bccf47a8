"""How one relay does, for everybody to see. One that misbehaves is named by what it did."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from raised.domain.observation import Fact, SourceHealth, State

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
    "from_the_future": "it delivered events dated in the future",
    "flood": "it sends far more than was asked for",
    "auth_wanted": "it wants authentication, and no auth_key_file is set",
    "auth_refused": "it did not accept our authentication",
    "closed": "it closed our subscription",
    "incomplete": "what it holds could not be read to the end",
    "full_second": "it holds more events of one second than it shows",
    "notice": "it answered with a notice",
    "not_written": "it did not take an event of a project",
}
_BAD_DATA: Final = frozenset({"forged", "unusable", "from_the_future", "flood"})


@dataclass(frozen=True, slots=True)
class _Shown:
    state: State
    last_error: tuple[str, str] | None
    complete: bool
    auth: str | None


class RelayHealth:
    """Counters and standing troubles of one relay since the process started."""

    def __init__(self, url: str, cooldown_seconds: int) -> None:
        self.url = url
        self.errors: Counter[str] = Counter()
        self.events: Counter[int] = Counter()
        self.forged = 0
        self.last_event_at: int | None = None
        self.last_success_at: int | None = None
        self.latency_ms: int | None = None
        self.cursor_at: int | None = None
        self.complete = False
        self.auth: str | None = None
        self._cooldown_seconds = cooldown_seconds
        self._connected: bool | None = None  # unknown before the first attempt
        self._troubles: dict[str, int | None] = {}  # code → until when, None: until it is over
        self._last_code: str | None = None
        self._shown: _Shown | None = None
        self._shown_at = 0
        self._moved = False

    def on_connected(self) -> None:
        """There is a connection."""
        self._connected = True
        self._moved = True

    def on_disconnected(self, code: str) -> None:
        """There is none, and why."""
        self._connected = False
        self._last_code = code
        self.errors[code] += 1
        self.end_problem("closed", "auth_wanted", "auth_refused", "silent")
        self._moved = True

    def on_backfill_complete(self, began_at: int) -> None:
        """A back-fill that began then has come to its end."""
        self.complete = True
        self.cursor_at = began_at
        self.end_problem("incomplete")
        self._moved = True

    def begin_problem(self, code: str) -> None:
        """Something stands in the way until it is `over`."""
        if code not in self._troubles:
            self.errors[code] += 1
        self._troubles[code] = None
        self._last_code = code
        self._moved = True

    def end_problem(self, *codes: str) -> None:
        """These troubles have ended."""
        for code in codes:
            self._troubles.pop(code, None)

    def record_error(self, code: str, now: int, count: int = 1) -> None:
        """Count something wrong. Bad data marks the relay for a while."""
        self.errors[code] += count
        self._moved = True
        if code in _BAD_DATA:
            self._troubles[code] = now + self._cooldown_seconds
            self._last_code = code

    def record_unusable(self, size: int, now: int) -> None:
        """Count bytes that were no message for us: garbage, or what failed the library's check."""
        if size:
            self.record_error("unusable", now)
            self.errors["unusable_bytes"] += size

    def record_events(self, now: int, kinds: Iterable[int], *, forged: int) -> None:
        """Count events that passed our check, repeats included, and those that did not."""
        self.events.update(kinds)
        self.last_event_at = now
        self._moved = True
        if forged:
            self.forged += forged
            self.record_error("forged", now, forged)

    def on_answer(self, now: int, latency_ms: int | None = None) -> None:
        """The relay answered a question of ours to the end."""
        self.last_success_at = now
        self.end_problem("silent")
        self._moved = True
        if latency_ms is not None:
            self.latency_ms = latency_ms

    def due_report(self, now: int, every_seconds: float) -> SourceHealth | None:
        """What is to be reported now: a change of condition at once, moved counters at times."""
        self._expire(now)
        if self._connected is None:
            return None
        shown = _Shown(self._state(), self._last_error(), self.complete, self.auth)
        if shown == self._shown and not (self._moved and now - self._shown_at >= every_seconds):
            return None
        self._shown, self._shown_at, self._moved = shown, now, False
        return self._report(shown, now)

    def _expire(self, now: int) -> None:
        over = [
            code for code, until in self._troubles.items() if until is not None and until <= now
        ]
        self.end_problem(*over)

    def _state(self) -> State:
        if not self._connected:
            return "down"
        return "degraded" if self._troubles else "ok"

    def _last_error(self) -> tuple[str, str] | None:
        code = self._last_code
        if self._connected and self._troubles and code not in self._troubles:
            code = next(reversed(self._troubles))
        return None if code is None else (code, SENTENCES[code])

    def _report(self, shown: _Shown, now: int) -> SourceHealth:
        facts: dict[str, Fact] = {
            "last_event_at": self.last_event_at,
            "cursor_at": self.cursor_at,
            "backfill_complete": shown.complete,
            "events": {str(kind): count for kind, count in sorted(self.events.items())},
            "forged": self.forged,
            "auth": shown.auth,
        }
        return SourceHealth(
            kind="relay",
            name=self.url,
            state=shown.state,
            at=now,
            last_success_at=self.last_success_at,
            last_error=shown.last_error,
            latency_ms=self.latency_ms,
            errors=dict(self.errors),
            facts=facts,
        )

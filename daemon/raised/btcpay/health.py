"""The health of a store: its problems by code, and whether its server may be asked at all.

Codes are part of the API; the sentences may change, and say what to do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from raised.domain.observation import Fact, SourceHealth, State
from raised.errors import SourceError, Unavailable
from raised.net.source_health import MOST_REPORTED, HostStats, SourceHealthTracker

# What no second try will change: somebody must act, so the next try is minutes away.
LOCKED_OUT: Final = frozenset(
    {"unauthenticated", "missing_permission", "no_route", "redirect", "blocked"}
)

CHECK: Final = "check"  # whether the store can be followed at all

_NAMELESS: Final = (
    "{} invoices cannot be read, not even their ids, and may be missing in the figures: look into"
    " the server's log, and whether raised or the server is to be upgraded"
)
_LIST: Final = "{} cannot be read: the server {}; the rest is followed"


class StoreHealth:
    """Counters and problems of a store since the process started.

    `key_accepted`: the key is accepted and may list invoices; until then no other request is made.
    `changed`: something is to be reported.
    """

    def __init__(
        self,
        label: str,
        stats: Callable[[], HostStats],
        clock: Callable[[], int],
        *,
        expects_events: bool,
    ) -> None:
        self.label = label
        self.key_accepted = asyncio.Event()
        self.changed = asyncio.Event()
        self.version: str | None = None
        self.webhook: str | None = "configured" if expects_events else None
        self.refunds_visible: bool | None = None
        self._stats = stats
        self._clock = clock
        self.set_aside_count = 0  # invoices that are known by id and cannot be read
        self._nameless: dict[str, int] = {}
        self._failing: dict[str, tuple[SourceError, State]] = {}
        self.tracker = SourceHealthTracker(label, clock=clock)
        self._last_success_at: int | None = None
        self._last_pull_at: int | None = None
        self._last_report: SourceHealth | None = None

    def request_failed(self, error: SourceError, doing: str) -> None:
        """The server answers nothing now; `doing` names what was asked.

        What refuses even the check is down, whatever it answers.
        """
        if error.code in LOCKED_OUT:
            self.key_accepted.clear()
        before = self._failing.get(doing)
        state: State = "down" if doing == CHECK or _is_down(error) else "degraded"
        self._failing[doing] = (error, state)
        if before is not None and before[0].code != error.code:
            self._end_if_no_other_fails(before[0])
        self.begin_problem(error.code, error.detail, state)

    def list_failed(self, what: str, error: SourceError) -> None:
        """This list cannot be read now, though the server answers other questions."""
        detail = _LIST.format(what, error.detail)
        self.begin_problem(error.code, detail, key=_list_key(what), subject=what)

    def list_read(self, what: str) -> None:
        """This list was read."""
        self.end_problem(_list_key(what))

    def request_succeeded(self, doing: str) -> None:
        """A request for this purpose was answered: the server is there and accepts the key."""
        self._last_success_at = self._last_pull_at = self._clock()
        self._recover(doing)

    def accept_key(self) -> None:
        """The key may list invoices: from now on the store is asked."""
        self._last_success_at = self._clock()
        self._recover(CHECK)
        self.key_accepted.set()

    def _recover(self, doing: str) -> None:
        for purpose, (error, state) in list(self._failing.items()):
            if purpose == doing or state == "down":
                del self._failing[purpose]
                self._end_if_no_other_fails(error)

    def _end_if_no_other_fails(self, error: SourceError) -> None:
        if all(failing.code != error.code for failing, _ in self._failing.values()):
            self.end_problem(error.code)

    def begin_problem(
        self,
        code: str,
        detail: str,
        state: State = "degraded",
        *,
        key: str | None = None,
        subject: str = "",
        is_private: bool = False,
    ) -> None:
        """A problem begins or goes on, until `end_problem`; see `SourceHealthTracker`."""
        self.tracker.begin_problem(
            code, detail, state, key=key, subject=subject, is_private=is_private
        )
        self.changed.set()

    def end_problem(self, key: str) -> None:
        """This problem has ended, if there was one."""
        if self.tracker.end_problem(key):
            self.changed.set()

    def set_problem(self, code: str, detail: str | None) -> None:
        """The result of a check: a problem in words, or None."""
        if detail is None:
            self.end_problem(code)
        else:
            self.begin_problem(code, detail)

    def set_warning(self, code: str, detail: str | None) -> None:
        """Say something the operator should know, which makes no figure worse."""
        if detail is None:
            self.end_problem(code)
        else:
            self.begin_problem(code, detail, "ok")

    def set_nameless(self, doing: str, invoices: int) -> None:
        """So many invoices could not be read, nor what they are called, by the task `doing`."""
        self._nameless[doing] = invoices
        most = max(self._nameless.values())  # several tasks meet the same invoices
        self.set_problem("bad_rows", _NAMELESS.format(most) if most else None)

    def due_report(self, *, moved: bool) -> SourceHealth | None:
        """The report that is due now: a changed condition at once; figures only if `moved`."""
        if self._last_success_at is None and not self.tracker.problems:
            return None  # unknown before the first answer
        report, last = self._report(), self._last_report
        condition = _condition(report)
        if moved or last is None or condition != _condition(last):
            self._last_report = last = report
        # Without the time, which differs in each report.
        is_due = self.tracker.is_report_due(condition, replace(last, at=0), time=0.0)
        return report if is_due else None

    def _report(self) -> SourceHealth:
        return SourceHealth(
            kind="store",
            name=self.label,
            state=self.tracker.state,
            at=self._clock(),
            last_success_at=self._last_success_at,
            last_error=self.tracker.last_error,
            latency_ms=self._stats().latency_ms,
            errors=dict(self._stats().errors),
            facts=self._facts(),
            problems=self.tracker.report_problems(),
        )

    def _details(self, *, are_warnings: bool) -> tuple[str, ...]:
        """Each sentence once, those that make the store down first: many items share one."""
        problems = [
            problem
            for problem in self.tracker.problems.values()
            if (problem.state == "ok") is are_warnings
        ]
        problems.sort(key=lambda problem: problem.state != "down")
        return tuple(dict.fromkeys(problem.detail for problem in problems))[:MOST_REPORTED]

    def _facts(self) -> dict[str, Fact]:
        return {
            "version": self.version,
            "last_pull_at": self._last_pull_at,
            "webhook": self.webhook,
            "refunds_visible": self.refunds_visible,
            "bad_rows": self.set_aside_count + max(self._nameless.values(), default=0),
            "warnings": self._details(are_warnings=True),
            "troubles": self._details(are_warnings=False),
        }


def _list_key(what: str) -> str:
    return f"list {what}"


def _is_down(error: SourceError) -> bool:
    return error.code in LOCKED_OUT or isinstance(error, Unavailable)


def _condition(health: SourceHealth) -> object:
    facts = health.facts
    return (
        health.state,
        health.last_error,
        facts["version"],
        facts["webhook"],
        facts["refunds_visible"],
        frozenset((problem.code, problem.subject, problem.detail) for problem in health.problems),
    )

"""The health of a store: its problems by code, and whether its server may be asked at all.

Codes are part of the API; the sentences may change, and say what to do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from raised.domain.observation import Fact, SourceHealth, State
from raised.errors import SourceError, Unavailable
from raised.net.source_health import HostStats, SourceHealthTracker

# What no second try will change: somebody must act, so the next try is minutes away.
LOCKED_OUT: Final = frozenset(
    {"unauthenticated", "missing_permission", "no_route", "redirect", "blocked"}
)

_BAD_ROWS: Final = "invoices have a form that is not understood and may be missing in the figures"


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
        self._unreadable: dict[str, int] = {}
        self._failing: dict[str, SourceError] = {}
        self.tracker = SourceHealthTracker(label, clock=clock)
        self._last_success_at: int | None = None
        self._last_pull_at: int | None = None
        self._last_report: SourceHealth | None = None

    def request_failed(self, error: SourceError, doing: str) -> None:
        """A request failed without which nothing is known; `doing` names what it was for."""
        if error.code in LOCKED_OUT:
            self.key_accepted.clear()
        before = self._failing.get(doing)
        self._failing[doing] = error
        if before is not None and before.code != error.code:
            self._end_if_no_other_fails(before)
        self.begin_problem(error.code, error.detail, "down" if _is_down(error) else "degraded")

    def request_succeeded(self, doing: str) -> None:
        """A request for this purpose was answered: the server is there and accepts the key."""
        self._last_success_at = self._last_pull_at = self._clock()
        self._recover(doing)

    def accept_key(self) -> None:
        """The key may list invoices: from now on the store is asked."""
        self._last_success_at = self._clock()
        self._recover("check")
        self.key_accepted.set()

    def _recover(self, doing: str) -> None:
        for purpose, error in list(self._failing.items()):
            if purpose == doing or _is_down(error):
                del self._failing[purpose]
                self._end_if_no_other_fails(error)

    def _end_if_no_other_fails(self, error: SourceError) -> None:
        if all(failing.code != error.code for failing in self._failing.values()):
            self.end_problem(error.code)

    def begin_problem(self, code: str, detail: str, state: State = "degraded") -> None:
        """A problem begins or goes on, until `end_problem`."""
        self.tracker.begin_problem(code, detail, state)
        self.changed.set()

    def end_problem(self, code: str) -> None:
        """This problem has ended, if there was one."""
        if self.tracker.end_problem(code):
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

    def set_unreadable(self, doing: str, invoices: int) -> None:
        """So many invoices could not be read, wholly or in part, by the task called `doing`."""
        self._unreadable[doing] = invoices
        most = max(self._unreadable.values())  # several tasks meet the same invoices
        self.set_problem("bad_rows", f"{most} {_BAD_ROWS}" if most else None)

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

    def _details(self, *, are_warnings: bool) -> list[str]:
        problems = self.tracker.problems.values()
        return [problem.detail for problem in problems if (problem.state == "ok") is are_warnings]

    def _facts(self) -> dict[str, Fact]:
        return {
            "version": self.version,
            "last_pull_at": self._last_pull_at,
            "webhook": self.webhook,
            "refunds_visible": self.refunds_visible,
            "bad_rows": max(self._unreadable.values(), default=0),
            "warnings": tuple(self._details(are_warnings=True)),
            "troubles": tuple(self._details(are_warnings=False)),
        }


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

"""How one source does: what its requests did, which problems it has, when to report that.

The health of relays, explorers and stores is built from these parts, so that all three count, log
and report alike. A problem stands under a key from its beginning to its end; who begins it decides
how far it reaches (the whole source, or the item that `subject` names), how bad it is, and whether
it ends by itself (docs/containment.md).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from raised.clock import now
from raised.domain.observation import MORE_PROBLEMS, SourceProblem, State

# How many problems of a source are reported each for itself; the others are only counted. Anybody
# can make an odd event or invoice, so there is no end to them.
MOST_REPORTED: Final = 200

# A code that never changes, and a sentence of ours, which may.
ErrorText = tuple[str, str]

_log = structlog.get_logger()


@dataclass(slots=True)
class HostStats:
    """What the requests to one host did since the process started.

    `last_success_at`: unix seconds by our clock. `latency_ms`: a running mean. `errors`: how often
    each code occurred.
    """

    last_success_at: int | None = None
    last_error: ErrorText | None = None
    latency_ms: int | None = None
    errors: Counter[str] = field(default_factory=Counter[str])
    clock: Callable[[], int] = field(default=now, repr=False)

    def record_success(self) -> None:
        """The host answered now."""
        self.last_success_at = self.clock()

    def record_error(self, code: str, sentence: str, times: int = 1) -> None:
        """Count an error and remember it as the last one."""
        self.errors[code] += times
        self.last_error = (code, sentence)

    def record_latency(self, seconds: float) -> None:
        """Take the time of an answer into the mean: a quarter of it is new."""
        new, mean = int(seconds * 1000), self.latency_ms
        self.latency_ms = new if mean is None else (mean * 3 + new) // 4


@dataclass(frozen=True, slots=True)
class Problem(SourceProblem):
    """A problem that stands. Without `until_at` (unix seconds) it stands until it is ended."""

    until_at: int | None = None


class SourceHealthTracker:
    """The problems and the statistics of one source, and whether there is something to report.

    A problem is logged when it begins and when it ends; so it says when a source is lost or back.

    Args:
        name: of the source, for the log.
        clock: gives unix seconds.
        report_seconds: how often figures alone are reported at most; a change of condition is
            reported at once.
    """

    def __init__(
        self,
        name: str = "",
        *,
        clock: Callable[[], int] = now,
        report_seconds: float = 0.0,
    ) -> None:
        self.stats = HostStats(clock=clock)
        self.problems: dict[str, Problem] = {}
        self._name = name
        self._clock = clock
        self._report_seconds = report_seconds
        self.last_problem: ErrorText | None = None  # the last that began or went on, ended or not
        self._last_key: str | None = None
        self._reported: tuple[object, object] | None = None
        self._reported_at = float("-inf")

    def begin_problem(  # noqa: PLR0913 - what a problem is
        self,
        code: str,
        detail: str,
        state: State = "degraded",
        *,
        key: str | None = None,
        subject: str = "",
        is_private: bool = False,
        until_at: int | None = None,
    ) -> bool:
        """A problem begins or goes on; whether it is new.

        There is one for each `key` (the code and the subject, when none is given): another one
        under the same key takes its place and keeps its beginning. With state "ok" it is a warning,
        which makes the source no worse.
        """
        key = key or problem_key(code, subject)
        before, at = self.problems.get(key), self._clock()
        # Items may be many, so the state is only computed where it may change.
        may_turn = "down" in (state, before.state if before else None)
        was_down = may_turn and self.state == "down"
        since_at, tries = (at, 1) if before is None else (before.since_at, before.tries + 1)
        self.problems[key] = Problem(
            code, detail, state, since_at, at, subject, is_private, tries, until_at
        )
        if state != "ok":
            self._last_key, self.last_problem = key, (code, detail)
        is_lost = state == "down" and not was_down
        if is_lost or before is None or before.code != code:
            # An outage is one line, whatever the reasons are that it shows one after the other.
            still_down = before is not None and before.state == state == "down"
            (_log.debug if still_down else _log.warning)(
                "source lost" if is_lost else "source has a problem",
                source=self._name,
                code=code,
                detail=detail,
                **({"subject": subject} if subject else {}),
            )
        if was_down and state != "down" and self.state != "down":
            _log.info("source is back", source=self._name, code=code, detail=detail)
        return before is None

    def end_problem(self, *keys: str) -> bool:
        """These problems have ended; whether one of them stood. For a key see `problem_key`."""
        ended = [problem for key in keys if (problem := self.problems.pop(key, None)) is not None]
        lost = [problem for problem in ended if problem.state == "down"]
        is_back = bool(lost) and self.state != "down"
        for problem in ended:
            self._log_end(problem, is_back=is_back and problem is lost[-1])
        return bool(ended)

    def expire(self, at: int) -> None:
        """End the problems whose time is over at `at` (unix seconds)."""
        for key, problem in list(self.problems.items()):
            if problem.until_at is not None and problem.until_at <= at:
                self.end_problem(key)

    def _log_end(self, problem: Problem, *, is_back: bool) -> None:
        _log.info(
            "source is back" if is_back else "problem of a source ended",
            source=self._name,
            code=problem.code,
            seconds=self._clock() - problem.since_at,
            **({"subject": problem.subject} if problem.subject else {}),
        )

    @property
    def state(self) -> State:
        """As bad as the worst problem."""
        states = {problem.state for problem in self.problems.values()}
        return "down" if "down" in states else "degraded" if "degraded" in states else "ok"

    @property
    def last_error(self) -> ErrorText | None:
        """Of the worst problems that stand the one that began or went on last.

        When that has ended, the one of them that began last; without any, the last one ended.
        """
        worst = {
            key: problem for key, problem in self.problems.items() if problem.state == self.state
        }
        if not worst or self.state == "ok":
            return self.last_problem
        key = self._last_key if self._last_key in worst else next(reversed(worst))
        return (worst[key].code, worst[key].detail)

    @property
    def condition(self) -> object:
        """What a report says of the problems, but for how often and when last they were met."""
        return frozenset(
            (problem.code, problem.subject, problem.detail, problem.state)
            for problem in self.problems.values()
        )

    def report_problems(self) -> tuple[SourceProblem, ...]:
        """The problems as the record stores them: the worst and oldest first, the rest counted."""
        by_weight = sorted(
            self.problems.values(),
            key=lambda problem: (_BY_WEIGHT.index(problem.state), problem.since_at),
        )
        # Two keys may stand for the same code and subject, of which the record keeps the worst.
        unique = {(problem.code, problem.subject): problem for problem in reversed(by_weight)}
        problems = [_reported(problem) for problem in reversed(unique.values())]
        if len(problems) <= MOST_REPORTED:
            return tuple(problems)
        named, others = problems[: MOST_REPORTED - 1], problems[MOST_REPORTED - 1 :]
        return (*named, _counted(others))

    def is_report_due(self, condition: object, figures: object, time: float) -> bool:
        """Whether to report now; if so, what is given here counts as reported.

        A changed `condition` is reported at once, changed `figures` every `report_seconds`.
        `time` is in seconds of one clock, whichever.
        """
        if self._reported is not None:
            same_figures = figures == self._reported[1]
            waits = same_figures or time - self._reported_at < self._report_seconds
            if condition == self._reported[0] and waits:
                return False
        self._reported, self._reported_at = (condition, figures), time
        return True


_BY_WEIGHT: Final[tuple[State, ...]] = ("down", "degraded", "ok")


def problem_key(code: str, subject: str = "") -> str:
    """The key of a problem that was begun without one."""
    return f"{code} {subject}" if subject else code


def _reported(problem: Problem) -> SourceProblem:
    return SourceProblem(
        code=problem.code,
        detail=problem.detail,
        state=problem.state,
        since_at=problem.since_at,
        last_at=problem.last_at,
        subject=problem.subject,
        is_private=problem.is_private,
        tries=problem.tries,
    )


def _counted(problems: list[SourceProblem]) -> SourceProblem:
    return SourceProblem(
        code=MORE_PROBLEMS,
        detail=f"{len(problems)} more problems are not listed",
        state=problems[0].state,
        since_at=min(problem.since_at for problem in problems),
        last_at=max(problem.last_at for problem in problems),
        tries=sum(problem.tries for problem in problems),
    )

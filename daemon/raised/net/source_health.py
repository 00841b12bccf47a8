"""How one source does: what its requests did, which problems it has, when to report that.

The health of relays, explorers and stores is built from these parts, so that all three count and
report alike. A problem stands under a key from its beginning to its end; who begins it decides
how bad it is and whether it ends by itself.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from raised.clock import now

HealthState = Literal["ok", "degraded", "down"]
# A code that never changes, and a sentence of ours, which may.
ErrorText = tuple[str, str]


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
class Problem:
    """Something that stands in the way of a source, or makes it doubtful.

    `since_at` and `until_at` are unix seconds; without `until_at` it stands until it is ended.
    """

    code: str
    detail: str
    state: HealthState
    since_at: int
    until_at: int | None = None


class SourceHealthTracker:
    """The problems and the statistics of one source, and whether there is something to report.

    Args:
        clock: gives unix seconds.
        stats: the statistics of the source's client, when a client counts.
        report_seconds: how often figures alone are reported at most; a change of condition is
            reported at once.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = now,
        stats: HostStats | None = None,
        report_seconds: float = 0.0,
    ) -> None:
        self.stats = stats or HostStats(clock=clock)
        self.problems: dict[str, Problem] = {}
        self._clock = clock
        self._report_seconds = report_seconds
        self.last_problem: ErrorText | None = None  # the last that began or went on, ended or not
        self._last_key: str | None = None
        self._reported: tuple[object, object] | None = None
        self._reported_at = float("-inf")

    def begin_problem(
        self,
        code: str,
        detail: str,
        state: HealthState = "degraded",
        *,
        key: str | None = None,
        until_at: int | None = None,
    ) -> bool:
        """A problem begins or goes on; whether it is new.

        There is one for each `key` (the code, when none is given): another one under the same key
        takes its place and keeps its beginning.
        """
        self._last_key = key or code
        before = self.problems.get(self._last_key)
        since_at = self._clock() if before is None else before.since_at
        self.problems[self._last_key] = Problem(code, detail, state, since_at, until_at)
        self.last_problem = (code, detail)
        return before is None

    def end_problem(self, *keys: str) -> bool:
        """These problems have ended; whether one of them stood."""
        ended = [self.problems.pop(key, None) for key in keys]
        return any(problem is not None for problem in ended)

    def expire(self, at: int) -> None:
        """End the problems whose time is over at `at` (unix seconds)."""
        for key, problem in list(self.problems.items()):
            if problem.until_at is not None and problem.until_at <= at:
                del self.problems[key]

    @property
    def state(self) -> HealthState:
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
        if not worst:
            return self.last_problem
        key = self._last_key if self._last_key in worst else next(reversed(worst))
        return (worst[key].code, worst[key].detail)

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

"""How one store does, for everybody to see, and whether it may be asked at all.

Troubles stand under a code until they are over. The sentences are ours, and say what to do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from raised.domain.observation import Fact, SourceHealth, State
from raised.errors import SourceError, Unavailable
from raised.net.source_health import HostStats

# What no second try will change: somebody must act, so we come again in minutes only.
LOCKED_OUT: Final = frozenset(
    {"unauthenticated", "missing_permission", "no_route", "redirect", "blocked"}
)

_BAD_ROWS: Final = "invoices have a form that is not understood and may be missing in the figures"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Trouble:
    state: State
    detail: str


class StoreHealth:
    """Counters and standing troubles of one store since the process started.

    `key_accepted`: the key is accepted and may list invoices. While it is not set nobody asks.
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
        self._warnings: dict[str, str] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._last: tuple[str, str] | None = None
        self._last_success_at: int | None = None
        self._last_pull_at: int | None = None
        self._shown: SourceHealth | None = None

    def request_failed(self, error: SourceError, doing: str) -> None:
        """A request that everything rests on made trouble, while we were `doing` something."""
        if error.code in LOCKED_OUT:
            self.key_accepted.clear()
        before = self._failing.get(doing)
        self._failing[doing] = error
        if before is not None and before.code != error.code:
            self._settle(before)
        self.begin_problem(error.code, error.detail, "down" if _is_down(error) else "degraded")

    def request_succeeded(self, doing: str) -> None:
        """What we were `doing` was answered: then the server is there and the key is good."""
        self._last_success_at = self._last_pull_at = self._clock()
        self._recover(doing)

    def accept_key(self) -> None:
        """The key may list invoices: from now on the store is asked."""
        self._last_success_at = self._clock()
        self._recover("check")
        self.key_accepted.set()

    def _recover(self, doing: str) -> None:
        for one, error in list(self._failing.items()):
            if one == doing or _is_down(error):
                del self._failing[one]
                self._settle(error)

    def _settle(self, error: SourceError) -> None:
        if all(one.code != error.code for one in self._failing.values()):
            self.end_problem(error.code)

    def begin_problem(self, code: str, detail: str, state: State = "degraded") -> None:
        """Something stands in the way until it is `over`."""
        if code not in self._troubles:
            _log.warning("store in trouble", store=self.label, code=code, detail=detail)
        self._troubles.pop(code, None)  # the latest one is shown
        self._troubles[code] = _Trouble(state, detail)
        self._last = (code, detail)
        self.changed.set()

    def end_problem(self, code: str) -> None:
        """This trouble has ended, if there was one."""
        if self._troubles.pop(code, None) is not None:
            _log.info("store recovered", store=self.label, code=code)
            self.changed.set()

    def set_problem(self, code: str, trouble: str | None) -> None:
        """What a look has found: a trouble in words, or none."""
        if trouble is None:
            self.end_problem(code)
        else:
            self.begin_problem(code, trouble)

    def set_warning(self, code: str, detail: str | None) -> None:
        """Say something the operator should know, which makes no figure worse."""
        if detail is None:
            self._warnings.pop(code, None)
        elif self._warnings.get(code) != detail:
            self._warnings[code] = detail
            _log.warning("store", store=self.label, code=code, detail=detail)
        self.changed.set()

    def set_unreadable(self, doing: str, invoices: int) -> None:
        """So many invoices could not be read, wholly or in part, while we were `doing` this."""
        self._unreadable[doing] = invoices
        most = max(self._unreadable.values())  # it is the same ones that each of us meets
        self.set_problem("bad_rows", f"{most} {_BAD_ROWS}" if most else None)

    def due_report(self, *, moved: bool) -> SourceHealth | None:
        """What is to be reported: a change of condition at once; figures only if `moved`."""
        if self._last_success_at is None and not self._troubles:
            return None  # unknown before the first answer
        new, old = self._report(), self._shown
        if old is not None:
            same = replace(new, at=old.at) == old if moved else _condition(new) == _condition(old)
            if same:
                return None
        self._shown = new
        return new

    def _report(self) -> SourceHealth:
        states = {one.state for one in self._troubles.values()}
        return SourceHealth(
            kind="store",
            name=self.label,
            state="down" if "down" in states else "degraded" if states else "ok",
            at=self._clock(),
            last_success_at=self._last_success_at,
            last_error=self._last_error(),
            latency_ms=self._stats().latency_ms,
            errors=dict(self._stats().errors),
            facts=self._facts(),
        )

    def _last_error(self) -> tuple[str, str] | None:
        standing = list(self._troubles.items())
        worst = [one for one in standing if one[1].state == "down"] or standing
        return (worst[-1][0], worst[-1][1].detail) if worst else self._last

    def _facts(self) -> dict[str, Fact]:
        return {
            "version": self.version,
            "last_pull_at": self._last_pull_at,
            "webhook": self.webhook,
            "refunds_visible": self.refunds_visible,
            "bad_rows": max(self._unreadable.values(), default=0),
            "warnings": tuple(self._warnings.values()),
            "troubles": tuple(one.detail for one in self._troubles.values()),
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
        facts["warnings"],
        facts["troubles"],
    )

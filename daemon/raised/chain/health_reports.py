"""Reports of health: of each explorer, and of what no explorer alone is to blame for."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Final

from raised.chain.explorer_pool import ExplorerPool
from raised.chain.settings import ChainSettings
from raised.clock import now
from raised.domain.observation import GroupProblems, Observation, SourceHealth
from raised.net.backoff import loop_time
from raised.net.source_health import SourceHealthTracker

_CONDITION: Final = "condition"  # the key of the one problem that an explorer's state is
_AGREEMENT: Final = "agreement"
_LAST_WORDS_SECONDS: Final = 10.0  # so long the record may take to store them before we end


class HealthReports:
    """Reports a change of condition at once, moved figures now and then.

    `problems`: those of the chain as a whole, such as a project that no explorer can give.
    """

    def __init__(self, pool: ExplorerPool, settings: ChainSettings) -> None:
        self.problems = SourceHealthTracker("chain", report_seconds=settings.health_seconds)
        self._pool = pool
        self._verify = settings.verify or "blocks"
        self._seconds = settings.health_seconds
        self._explorers: dict[str, SourceHealthTracker] = {}
        self._agreement = min(settings.agreement, len(pool.peers))
        self._reported: dict[str, tuple[float, SourceHealth]] = {}

    async def report(self, outbox: asyncio.Queue[Observation]) -> None:
        """Report what is due."""
        time = loop_time()
        for health in self._pool.health(self._verify):
            reported = self._reported.get(health.name)
            if reported is None or self._is_due(reported, health, time):
                self._reported[health.name] = (time, health)
                await outbox.put(self._with_problem(health))
        self._count_voices()
        problems = self.problems.report_problems()
        if self.problems.is_report_due(self.problems.condition, problems, time):
            await outbox.put(GroupProblems("chain", problems, now()))

    def _count_voices(self) -> None:
        voices = self._pool.count_voices()
        if voices >= self._agreement or self._agreement < 2:
            self.problems.end_problem(_AGREEMENT)
            return
        sentence = (
            f"only {voices} of the {self._agreement} explorers that must agree can be asked now: "
            "what is confirmed rests on fewer voices than configured"
        )
        known = self.problems.problems.get(_AGREEMENT)
        if known is None or known.detail != sentence:
            self.problems.begin_problem(_AGREEMENT, sentence)

    async def report_last(self, outbox: asyncio.Queue[Observation]) -> None:
        """Report what is due, and wait until it is in the record: the process is about to end."""
        await self.report(outbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await outbox.join()

    def _with_problem(self, health: SourceHealth) -> SourceHealth:
        """With its state as a problem, which is logged when it begins and when it ends."""
        tracker = self._explorers.setdefault(health.name, SourceHealthTracker(health.name))
        if health.state == "ok":
            tracker.end_problem(_CONDITION)
        elif health.last_error is not None:  # else it was not asked yet
            tracker.begin_problem(*health.last_error, health.state, key=_CONDITION)
        return replace(health, problems=(*health.problems, *tracker.report_problems()))

    def _is_due(
        self, reported: tuple[float, SourceHealth], health: SourceHealth, time: float
    ) -> bool:
        at, before = reported
        changed = (before.state, before.last_error) != (health.state, health.last_error)
        return changed or time - at >= self._seconds

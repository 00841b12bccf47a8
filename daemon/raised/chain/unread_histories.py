"""The projects whose history was not read, or not wholly, and when each is tried again.

Anybody can make a history that no explorer manages to give. So what fails there is charged to the
project: it is set aside, named, and tried again after pauses that grow (docs/containment.md).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from raised.domain.observation import HistorySeen
from raised.errors import SourceError, Unavailable
from raised.net.set_aside import SetAside
from raised.net.source_health import SourceHealthTracker

_LONGEST_SECONDS: Final = 600.0
# An explorer may count too many for ever, so less than it counts is read again more and more
# rarely; it may as well have lost its place, and then the next reading is whole.
_SHORT_SECONDS: Final = 600.0
_LONGEST_SHORT_SECONDS: Final = 86_400.0
_EMPTY_READINGS: Final = 3

_NEEDS_OTHERS: Final = "no other explorer can be asked now whether its old blocks are on our chain"
_SHORT: Final = "the explorer shows fewer transactions of its address than it counts; read again"
_EMPTY: Final = "the explorer counts transactions of its address and shows none; asked for again"


class UnreadHistories:
    """What is wrong with the histories of single projects.

    Args:
        problems: of all explorers together, where they are listed.
        pause: seconds after the first failure of a project.
    """

    def __init__(self, problems: SourceHealthTracker, pause: float) -> None:
        self.failures: Counter[str] = Counter()  # by project, since it was last read wholly
        self._unread = SetAside(problems, pause, _LONGEST_SECONDS)
        # What was read of these counts, so they make nothing worse.
        self._short = SetAside(problems, _SHORT_SECONDS, _LONGEST_SHORT_SECONDS, state="ok")

    def is_due(self, project_id: str) -> bool:
        """Whether its history may be read now."""
        return self._unread.is_due(project_id) and self._short.is_due(project_id)

    def is_short(self, project_id: str) -> bool:
        """Whether it was read, though an explorer counts more."""
        return project_id in self._short

    def keep_only(self, unindexed: Collection[str]) -> None:
        """Forget the projects whose history is not wanted any more."""
        wanted = frozenset(unindexed)
        self._unread.keep_only(wanted)
        self._short.keep_only(wanted)

    def on_history(self, history: HistorySeen) -> None:
        """This was read. What is not whole counts as it is, and is read again.

        One without a transaction is at first taken for unread: that is how an explorer looks that
        has lost its index.
        """
        project_id = history.project_id
        if history.whole:
            self.failures.pop(project_id, None)
            self._unread.on_success(project_id)
            self._short.on_success(project_id)
            return
        self.failures[project_id] += 1
        if not history.txs and self.failures[project_id] <= _EMPTY_READINGS:
            self._unread.on_failure(project_id, "history_unread", _EMPTY)
        else:
            self._unread.on_success(project_id)
            self._short.on_failure(project_id, "history_short", _SHORT)

    def on_failure(
        self, project_id: str, reasons: Sequence[SourceError], slow: Collection[str]
    ) -> None:
        """No explorer gives this history; `slow`: the names of those that take too long."""
        causes = [f"{reason.source} {reason.detail}" for reason in reasons]
        causes += [f"{name} takes too long" for name in sorted(slow)]
        wanted = [reason.retry_after or 0 for reason in reasons if isinstance(reason, Unavailable)]
        sentence = f"its history cannot be read and is asked for again: {'; '.join(causes)}"
        self.failures[project_id] += 1
        self._unread.on_failure(
            project_id, "history_unread", sentence, float(max(wanted, default=0))
        )

    def on_unconfirmed(self, project_id: str) -> None:
        """Nobody else can be asked whether its old blocks are on our chain."""
        self.failures[project_id] += 1
        self._unread.on_failure(project_id, "history_unconfirmed", _NEEDS_OTHERS)

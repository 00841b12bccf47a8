"""Items that are set aside because they could not be read, so that the others can go on.

Each is tried again after pauses of its own, which grow, and has a problem in the health of its
source until it was read or is not wanted any more (docs/containment.md).
"""

from collections.abc import Callable, Container

from raised.domain.observation import State
from raised.net.backoff import Backoff, loop_time
from raised.net.source_health import SourceHealthTracker, problem_key


class SetAside:
    """The items of one kind that are set aside, by id.

    Args:
        tracker: the health that lists them.
        first, longest: the pauses in seconds after the first failure and after many.
        is_private: whether the ids lead to payers.
        state: how bad such an item makes its source.
        clock: gives monotonic seconds, by default the event loop's.
    """

    def __init__(
        self,
        tracker: SourceHealthTracker,
        first: float,
        longest: float,
        *,
        is_private: bool = False,
        state: State = "degraded",
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._tracker = tracker
        self._pauses = (first, longest)
        self._is_private = is_private
        self._state: State = state
        self._clock = clock
        self._items: dict[str, tuple[Backoff, str]] = {}  # with the code of what is wrong

    def __contains__(self, item: object) -> bool:
        """Whether this item is set aside, due again or not."""
        return item in self._items

    def __len__(self) -> int:
        """How many are set aside."""
        return len(self._items)

    def on_failure(self, item: str, code: str, detail: str, at_least: float = 0.0) -> float:
        """This item could not be read: the seconds until it is due, no fewer than `at_least`.

        `detail` is a sentence of ours that says what to do and does not name the item.
        """
        backoff, before = self._items.get(item, (None, code))
        if before != code:
            self._tracker.end_problem(problem_key(before, item))
        backoff = backoff or Backoff(*self._pauses, clock=self._clock)
        self._items[item] = (backoff, code)
        self._tracker.begin_problem(
            code, detail, self._state, subject=item, is_private=self._is_private
        )
        return backoff.on_failure(at_least)

    def on_success(self, item: str) -> bool:
        """This item was read, or is not wanted any more; whether it was set aside."""
        known = self._items.pop(item, None)
        if known is not None:
            self._tracker.end_problem(problem_key(known[1], item))
        return known is not None

    def keep_only(self, wanted: Container[str]) -> None:
        """Forget the items that are not wanted any more."""
        for item in [item for item in self._items if item not in wanted]:
            self.on_success(item)

    def is_due(self, item: str) -> bool:
        """Whether this item may be read now: it is not set aside, or its pause is over."""
        known = self._items.get(item)
        return known is None or known[0].is_due()

    def due_at(self, item: str) -> float:
        """When this item may be read, by the clock; long ago when it is not set aside."""
        known = self._items.get(item)
        return float("-inf") if known is None else known[0].due_at

    def due(self) -> list[str]:
        """The items whose pause is over, those that wait longest first."""
        time = self._clock()
        due = [(backoff.due_at, item) for item, (backoff, _) in self._items.items()]
        return [item for due_at, item in sorted(due) if due_at <= time]

    @property
    def next_due_at(self) -> float | None:
        """When the next pause is over, by the clock; None when nothing is set aside."""
        return min((backoff.due_at for backoff, _ in self._items.values()), default=None)

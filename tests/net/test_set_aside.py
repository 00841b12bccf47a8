"""Items that cannot be read wait by themselves, and are named until they were read."""

from raised.net.set_aside import SetAside
from raised.net.source_health import MOST_REPORTED, SourceHealthTracker

WAIT, LONGEST = 10.0, 100.0


class Clock:
    """Monotonic seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def set_aside_with(clock: Clock) -> tuple[SetAside, SourceHealthTracker]:
    tracker = SourceHealthTracker("shop", clock=lambda: int(clock()))
    return SetAside(tracker, WAIT, LONGEST, is_private=True, clock=clock), tracker


def state_of(tracker: SourceHealthTracker) -> str:
    return tracker.state


def test_an_item_waits_longer_after_each_failure_and_the_others_do_not() -> None:
    clock = Clock()
    items, _ = set_aside_with(clock)
    tries: list[float] = []
    while clock.time < 1000:
        if items.is_due("bad"):
            tries.append(clock.time)
            items.on_failure("bad", "too_large", "is larger than we take")
        assert items.is_due("good")
        clock.time += 1
    # With jitter a pause is a tenth of its length at least: 1, 2, 4 and so on up to 10 seconds.
    assert 10 < len(tries) < 110
    assert len(items) == 1


def test_an_item_is_named_from_the_first_failure_to_the_first_success() -> None:
    clock = Clock()
    items, tracker = set_aside_with(clock)
    items.on_failure("bad", "retry", "answers 500")
    clock.time = 50
    items.on_failure("bad", "retry", "answers 500")
    (problem,) = tracker.report_problems()
    assert (problem.subject, problem.code, problem.tries) == ("bad", "retry", 2)
    assert (problem.since_at, problem.last_at, problem.is_private) == (0, 50, True)
    assert state_of(tracker) == "degraded"
    assert items.on_success("bad")
    assert not items.on_success("bad")
    assert tracker.report_problems() == ()
    assert state_of(tracker) == "ok"


def test_another_reason_takes_the_place_of_the_first() -> None:
    items, tracker = set_aside_with(Clock())
    items.on_failure("bad", "retry", "answers 500")
    items.on_failure("bad", "too_large", "is larger than we take")
    assert [problem.code for problem in tracker.report_problems()] == ["too_large"]


def test_what_is_due_comes_in_the_order_of_waiting_and_no_sooner_than_asked() -> None:
    clock = Clock()
    items, _ = set_aside_with(clock)
    items.on_failure("late", "retry", "answers 500", at_least=500.0)
    items.on_failure("soon", "retry", "answers 500", at_least=200.0)
    assert items.due() == []
    assert items.next_due_at == 200.0
    clock.time = 500.0
    assert items.due() == ["soon", "late"]
    items.keep_only({"late"})
    assert items.due() == ["late"]
    assert "soon" not in items


def test_no_end_of_odd_items_makes_no_endless_report() -> None:
    items, tracker = set_aside_with(Clock())
    for number in range(MOST_REPORTED + 50):
        items.on_failure(f"item-{number}", "retry", "answers 500")
    problems = tracker.report_problems()
    assert len(problems) == MOST_REPORTED
    assert problems[-1].code == "more_problems"
    assert "51 more" in problems[-1].detail

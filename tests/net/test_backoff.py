"""Pauses grow with the failures in a row, up to a cap, and nobody comes back in step."""

import pytest

from raised.net.backoff import Backoff, backoff_seconds, growing_pause, jittered


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def whole(seconds: float) -> float:
    """No jitter."""
    return seconds


@pytest.mark.parametrize(
    ("failures", "pause"), [(0, 2.0), (1, 4.0), (2, 8.0), (5, 64.0), (6, 100.0), (10_000, 100.0)]
)
def test_a_pause_doubles_up_to_its_cap(failures: int, pause: float) -> None:
    assert growing_pause(2.0, 100.0, failures) == pause


def test_jitter_takes_away_at_most_nine_tenths() -> None:
    pauses = [jittered(10.0) for _ in range(1000)]
    assert all(1.0 <= pause <= 10.0 for pause in pauses)
    assert max(pauses) - min(pauses) > 5.0
    assert all(10.0 <= backoff_seconds(2.0, 100.0, 7) <= 100.0 for _ in range(100))


def test_what_failed_is_due_after_its_pause() -> None:
    clock = Clock()
    backoff = Backoff(2.0, 5.0, clock=clock, jitter=whole)
    assert backoff.is_due()
    for pause in (2.0, 4.0, 5.0, 5.0):
        assert backoff.on_failure() == pause
        assert backoff.due_at == clock.now + pause
        assert not backoff.is_due()
        clock.now += pause
        assert backoff.is_due()
    assert backoff.failures == 4


def test_the_other_side_may_ask_for_a_longer_pause_only() -> None:
    backoff = Backoff(2.0, 300.0, clock=Clock(), jitter=whole)
    assert backoff.on_failure(60.0) == 60.0
    assert backoff.on_failure(1.0) == 4.0


def test_after_a_success_the_next_failure_is_a_first_one() -> None:
    clock = Clock()
    backoff = Backoff(2.0, 300.0, clock=clock, jitter=whole)
    backoff.on_failure()
    backoff.on_failure()
    backoff.on_success()
    assert backoff.is_due()
    assert backoff.on_failure() == 2.0
    backoff.on_success(600.0)
    assert backoff.due_at == clock.now + 600.0

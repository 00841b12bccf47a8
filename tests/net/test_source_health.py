"""What a source's health is built of: statistics, problems with a beginning, and reports."""

import pytest
from structlog.testing import capture_logs

from raised.net.source_health import HostStats, SourceHealthTracker

NOW = 1_700_000_000


class Clock:
    """Unix seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def test_statistics_keep_the_last_error_and_count_by_code() -> None:
    stats = HostStats(clock=Clock())
    stats.record_error("busy", "cannot answer now")
    stats.record_error("bad_row", "sent what cannot be read", 3)
    stats.record_error("busy", "cannot answer now")
    assert stats.errors == {"busy": 2, "bad_row": 3}
    assert stats.last_error == ("busy", "cannot answer now")
    assert stats.last_success_at is None
    stats.record_success()
    assert stats.last_success_at == NOW


def state_of(tracker: SourceHealthTracker) -> str:
    return tracker.state


def test_latency_is_a_mean_that_follows_slowly() -> None:
    stats = HostStats()
    for seconds, mean in ((0.1, 100), (0.5, 200), (0.2, 200)):
        stats.record_latency(seconds)
        assert stats.latency_ms == mean


def test_a_problem_stands_until_it_is_ended_and_keeps_its_beginning() -> None:
    clock = Clock()
    tracker = SourceHealthTracker(clock=clock)
    assert state_of(tracker) == "ok"
    assert tracker.begin_problem("webhook", "is missing")
    clock.now += 60
    assert not tracker.begin_problem("webhook", "is not delivered")
    (problem,) = tracker.problems.values()
    assert (problem.since_at, problem.detail) == (NOW, "is not delivered")
    assert state_of(tracker) == "degraded"
    assert tracker.end_problem("webhook")
    assert not tracker.end_problem("webhook")
    assert state_of(tracker) == "ok"
    assert tracker.last_error == ("webhook", "is not delivered")


def test_the_latest_of_the_worst_problems_is_named() -> None:
    tracker = SourceHealthTracker()
    tracker.begin_problem("unreachable", "cannot be reached", "down")
    tracker.begin_problem("webhook", "is missing")
    assert state_of(tracker) == "down"
    assert tracker.last_error == ("unreachable", "cannot be reached")
    tracker.end_problem("unreachable")
    tracker.begin_problem("refunds", "are unknown")
    assert tracker.last_error == ("refunds", "are unknown")
    tracker.begin_problem("webhook", "is missing")
    assert tracker.last_error == ("webhook", "is missing")


def test_when_the_latest_problem_has_ended_the_last_to_begin_is_named() -> None:
    tracker = SourceHealthTracker()
    tracker.begin_problem("incomplete", "could not be read to the end")
    tracker.begin_problem("forged", "delivered forged events")
    tracker.begin_problem("incomplete", "could not be read to the end")
    tracker.begin_problem("closed", "closed the subscription")
    tracker.end_problem("closed")
    assert tracker.last_error == ("forged", "delivered forged events")
    assert tracker.last_problem == ("closed", "closed the subscription")


def test_the_log_says_once_that_a_source_is_lost_and_once_that_it_is_back() -> None:
    tracker = SourceHealthTracker("host", clock=Clock())
    with capture_logs() as logs:
        tracker.begin_problem("slow", "it answers late")
        tracker.begin_problem("lost", "the connection broke", "down", key="connection")
        tracker.begin_problem("timeout", "no connection in time", "down", key="connection")
        tracker.begin_problem("refused", "it was refused", "down")
        tracker.end_problem("connection")
        tracker.end_problem("refused", "slow")
        tracker.begin_problem("slow", "it answers late")
        tracker.begin_problem("slow", "it answers too late", "down")
        tracker.begin_problem("slow", "it answers late")
    shown = [line for line in logs if line["log_level"] != "debug"]
    assert [(line["event"], line["code"]) for line in shown] == [
        ("source has a problem", "slow"),
        ("source lost", "lost"),
        ("source has a problem", "refused"),
        ("problem of a source ended", "timeout"),
        ("source is back", "refused"),
        ("problem of a source ended", "slow"),
        ("source has a problem", "slow"),
        ("source lost", "slow"),
        ("source is back", "slow"),
    ]
    assert {line["source"] for line in logs} == {"host"}


def test_problems_under_one_key_replace_each_other() -> None:
    tracker = SourceHealthTracker()
    tracker.begin_problem("lost", "broke", "down", key="connection")
    assert not tracker.begin_problem("refused", "was refused", "down", key="connection")
    assert [problem.code for problem in tracker.problems.values()] == ["refused"]
    assert tracker.end_problem("connection", "unknown")
    assert state_of(tracker) == "ok"


def test_a_problem_with_an_end_ends_by_itself() -> None:
    tracker = SourceHealthTracker()
    tracker.begin_problem("forged", "delivered forged events", until_at=NOW + 600)
    tracker.begin_problem("closed", "closed the subscription")
    tracker.expire(NOW + 599)
    assert tracker.problems.keys() == {"forged", "closed"}
    tracker.expire(NOW + 600)
    assert tracker.problems.keys() == {"closed"}


@pytest.mark.parametrize(
    ("condition", "figures", "time", "due"),
    [
        ("ok", 1, 100.0, False),
        ("ok", 2, 9.9, False),
        ("ok", 2, 10.0, True),
        ("down", 1, 0.0, True),
        ("down", 2, 10.0, True),
    ],
)
def test_a_condition_is_reported_at_once_and_figures_in_their_time(
    condition: str, figures: int, time: float, due: bool
) -> None:
    tracker = SourceHealthTracker(report_seconds=10.0)
    assert tracker.is_report_due("ok", 1, 0.0)
    assert tracker.is_report_due(condition, figures, time) == due
    assert not tracker.is_report_due(condition if due else "ok", figures if due else 1, time + 100)

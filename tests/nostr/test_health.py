"""The reports of a relay's health: a changed state at once, changed counters at intervals."""

from raised.nostr.health import SENTENCES, RelayHealth

NOW = 1_700_000_000


def connected(report_seconds: float = 10) -> RelayHealth:
    health = RelayHealth("wss://relay", cooldown_seconds=600, report_seconds=report_seconds)
    health.on_connected()
    return health


def test_before_the_first_attempt_there_is_no_report() -> None:
    assert RelayHealth("wss://relay", 600, 10).due_report(NOW) is None


def test_a_changed_state_is_reported_at_once_and_a_counter_at_intervals() -> None:
    health = connected()
    assert (health.due_report(NOW) or health).state == "ok"  # type: ignore[union-attr]
    assert health.due_report(NOW + 60) is None
    health.record_events(NOW + 1, [3030], forged=0)
    assert health.due_report(NOW + 1) is None
    report = health.due_report(NOW + 10)
    assert report is not None
    assert report.facts["events"] == {"3030": 1}
    assert report.facts["last_event_at"] == NOW + 1
    health.on_disconnected("lost")
    report = health.due_report(NOW + 10)
    assert report is not None
    assert (report.state, report.last_error) == ("down", ("lost", SENTENCES["lost"]))


def test_a_problem_lasts_until_it_is_ended() -> None:
    health = connected()
    health.begin_problem("auth_wanted")
    health.begin_problem("auth_wanted")
    report = health.due_report(NOW)
    assert report is not None
    assert (report.state, report.errors) == ("degraded", {"auth_wanted": 1})
    health.end_problem("auth_wanted")
    report = health.due_report(NOW)
    assert report is not None
    assert report.state == "ok"
    assert report.last_error == ("auth_wanted", SENTENCES["auth_wanted"])


def test_bad_data_marks_a_relay_for_a_while() -> None:
    health = connected(report_seconds=1_000)
    health.record_events(NOW, [], forged=2)
    report = health.due_report(NOW)
    assert report is not None
    assert (report.state, report.facts["forged"]) == ("degraded", 2)
    assert health.due_report(NOW + 599) is None
    report = health.due_report(NOW + 600)
    assert report is not None
    assert report.state == "ok"


def test_of_several_problems_one_that_still_stands_is_named() -> None:
    health = connected()
    health.begin_problem("incomplete")
    health.begin_problem("closed")
    health.end_problem("closed")
    report = health.due_report(NOW)
    assert report is not None
    assert report.last_error == ("incomplete", SENTENCES["incomplete"])


def test_unusable_bytes_are_counted() -> None:
    health = connected()
    health.record_unusable(0, NOW)
    assert not health.errors
    health.record_unusable(400, NOW)
    assert health.errors == {"unusable": 1, "unusable_bytes": 400}


def test_a_completed_back_fill_is_reported() -> None:
    health = connected()
    health.begin_problem("incomplete")
    health.on_backfill_complete(NOW - 5)
    report = health.due_report(NOW)
    assert report is not None
    assert report.state == "ok"
    assert report.facts["cursor_at"] == NOW - 5
    assert report.facts["backfill_complete"] is True

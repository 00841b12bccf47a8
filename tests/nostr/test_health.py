"""What is said of a relay: a change at once, counters at times, the culprit's deed by name."""

from raised.nostr.health import SENTENCES, RelayHealth

NOW = 1_700_000_000


def connected() -> RelayHealth:
    health = RelayHealth("wss://relay", cooldown_seconds=600)
    health.on_connected()
    return health


def test_before_the_first_attempt_nothing_is_said() -> None:
    assert RelayHealth("wss://relay", 600).due_report(NOW, 10) is None


def test_a_change_is_said_at_once_and_a_counter_in_its_time() -> None:
    health = connected()
    assert (health.due_report(NOW, 10) or health).state == "ok"  # type: ignore[union-attr]
    assert health.due_report(NOW + 60, 10) is None
    health.record_events(NOW + 1, [3030], forged=0)
    assert health.due_report(NOW + 1, 10) is None
    report = health.due_report(NOW + 10, 10)
    assert report is not None
    assert report.facts["events"] == {"3030": 1}
    assert report.facts["last_event_at"] == NOW + 1
    health.on_disconnected("lost")
    report = health.due_report(NOW + 10, 10)
    assert report is not None
    assert (report.state, report.last_error) == ("down", ("lost", SENTENCES["lost"]))


def test_a_trouble_lasts_until_it_is_over() -> None:
    health = connected()
    health.begin_problem("auth_wanted")
    health.begin_problem("auth_wanted")
    report = health.due_report(NOW, 10)
    assert report is not None
    assert (report.state, report.errors) == ("degraded", {"auth_wanted": 1})
    health.end_problem("auth_wanted")
    report = health.due_report(NOW, 10)
    assert report is not None
    assert report.state == "ok"
    assert report.last_error == ("auth_wanted", SENTENCES["auth_wanted"])


def test_bad_data_is_held_against_a_relay_for_a_while() -> None:
    health = connected()
    health.record_events(NOW, [], forged=2)
    report = health.due_report(NOW, 10)
    assert report is not None
    assert (report.state, report.facts["forged"]) == ("degraded", 2)
    assert health.due_report(NOW + 599, 1_000) is None
    report = health.due_report(NOW + 600, 1_000)
    assert report is not None
    assert report.state == "ok"


def test_of_several_troubles_one_that_still_stands_is_named() -> None:
    health = connected()
    health.begin_problem("incomplete")
    health.begin_problem("closed")
    health.end_problem("closed")
    report = health.due_report(NOW, 10)
    assert report is not None
    assert report.last_error == ("incomplete", SENTENCES["incomplete"])


def test_unusable_bytes_are_counted() -> None:
    health = connected()
    health.record_unusable(0, NOW)
    assert not health.errors
    health.record_unusable(400, NOW)
    assert health.errors == {"unusable": 1, "unusable_bytes": 400}


def test_a_completed_back_fill_is_shown() -> None:
    health = connected()
    health.begin_problem("incomplete")
    health.on_backfill_complete(NOW - 5)
    report = health.due_report(NOW, 10)
    assert report is not None
    assert report.state == "ok"
    assert report.facts["cursor_at"] == NOW - 5
    assert report.facts["backfill_complete"] is True

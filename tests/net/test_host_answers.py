"""A host is judged by all its answers: by what it refuses and by what it answers in between."""

from raised.net.host_answers import HostAnswers

REASON = ("forbidden", "refuses our requests")


def refused(host: HostAnswers) -> tuple[str, str] | None:
    return host.refused


def test_a_question_that_is_refused_says_nothing_about_the_host() -> None:
    host = HostAnswers()
    for _ in range(100):
        host.on_refusal("address", *REASON)
        host.on_answer()
    assert refused(host) is None


def test_a_host_that_refuses_several_questions_and_answers_none_refuses_everything() -> None:
    host = HostAnswers()
    host.on_refusal("tip", *REASON)
    host.on_refusal("address", *REASON)
    assert refused(host) is None
    host.on_refusal("block", *REASON)
    assert refused(host) == REASON
    host.on_answer()
    assert refused(host) is None


def test_the_only_question_that_is_asked_counts_after_some_times() -> None:
    host = HostAnswers()
    for _ in range(5):
        host.on_refusal("tip", *REASON)
    assert refused(host) is None
    host.on_refusal("tip", *REASON)
    assert refused(host) == REASON

"""The answer to the later request wins, whatever arrives last."""

from raised.btcpay.publisher import RequestSequencer


def test_an_earlier_request_says_nothing_new_after_a_later_one() -> None:
    sequencer = RequestSequencer()
    with sequencer.request() as first, sequencer.request() as second:
        assert sequencer.is_newest(second, "abc")
        assert not sequencer.is_newest(first, "abc")
        assert sequencer.is_newest(first, "other")


def test_answers_in_order_are_all_newest() -> None:
    sequencer = RequestSequencer()
    with sequencer.request() as first, sequencer.request() as second:
        assert sequencer.is_newest(first, "abc")
        assert sequencer.is_newest(second, "abc")


def test_an_answer_that_is_published_in_two_parts_is_newest_twice() -> None:
    sequencer = RequestSequencer()
    with sequencer.request() as number:
        assert sequencer.is_newest(number, "abc")
        assert sequencer.is_newest(number, "abc")


def test_nothing_is_remembered_that_no_request_in_flight_could_contradict() -> None:
    sequencer = RequestSequencer()
    with sequencer.request() as first:
        with sequencer.request() as second:
            assert sequencer.is_newest(second, "abc")
        assert not sequencer.is_newest(first, "abc")
    assert not sequencer._newest

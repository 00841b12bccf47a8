"""The answer to the later request wins, whatever arrives last."""

from raised.btcpay.sequence import RequestSequencer


def test_an_earlier_request_says_nothing_new_after_a_later_one() -> None:
    turns = RequestSequencer()
    with turns.turn() as first, turns.turn() as second:
        assert turns.is_news(second, "abc")
        assert not turns.is_news(first, "abc")
        assert turns.is_news(first, "other")


def test_answers_in_order_are_all_news() -> None:
    turns = RequestSequencer()
    with turns.turn() as first, turns.turn() as second:
        assert turns.is_news(first, "abc")
        assert turns.is_news(second, "abc")


def test_an_answer_that_was_told_in_two_parts_is_news_twice() -> None:
    turns = RequestSequencer()
    with turns.turn() as turn:
        assert turns.is_news(turn, "abc")
        assert turns.is_news(turn, "abc")


def test_nothing_is_remembered_that_no_request_in_flight_could_undo() -> None:
    turns = RequestSequencer()
    with turns.turn() as first:
        with turns.turn() as second:
            assert turns.is_news(second, "abc")
        assert not turns.is_news(first, "abc")
    assert not turns._shown

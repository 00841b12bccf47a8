"""How far an explorer is trusted, by what it did and the time alone."""

from raised.chain.explorer.peer_score import PeerScore

NOW = 5000.0
FRESH = PeerScore(first_pause=0.5)


def test_an_explorer_without_a_past_is_asked_and_not_doubted() -> None:
    assert not FRESH.is_apart(NOW)
    assert not FRESH.is_slow(NOW)
    assert not FRESH.is_doubtful(NOW)
    assert FRESH.has_raw_blocks(NOW)


def test_bad_data_sets_it_apart_for_longer_each_time() -> None:
    score = FRESH
    for pause in (0.5, 1.0, 2.0, 4.0):
        score = score.after_bad_data(NOW)
        assert score.is_apart(NOW + pause - 0.01)
        assert not score.is_apart(NOW + pause)
    for _ in range(30):
        score = score.after_bad_data(NOW)
    assert not score.is_apart(NOW + 600)


def test_bad_data_marks_it_for_a_while_after_it_answers_again() -> None:
    score = FRESH.after_bad_data(NOW)
    assert score.is_doubtful(NOW + 10_000), "as long as no answer held"
    score = score.after_success()
    assert not score.is_apart(NOW)
    assert score.is_doubtful(NOW + 599)
    assert not score.is_doubtful(NOW + 600)


def test_a_chain_that_moves_is_doubted_only_when_it_moves_again_and_again() -> None:
    score = FRESH
    for _ in range(3):
        assert score.may_move
        score = score.after_move(NOW)
        assert not score.is_doubtful(NOW)
    assert not score.may_move
    score = score.after_move(NOW)
    assert score.is_doubtful(NOW)
    assert not score.is_doubtful(NOW + 600)
    assert not score.is_apart(NOW)
    assert score.after_success().may_move


def test_a_slow_explorer_comes_after_the_others_for_longer_each_time() -> None:
    score = FRESH.after_time_out(NOW)
    assert (score.is_slow(NOW + 9.9), score.is_slow(NOW + 10)) == (True, False)
    assert not score.is_apart(NOW)
    score = score.after_time_out(NOW)
    assert (score.is_slow(NOW + 19.9), score.is_slow(NOW + 20)) == (True, False)
    assert not score.after_success().is_slow(NOW)


def test_one_that_was_given_up_is_left_alone_first() -> None:
    score = FRESH.after_no_answer(NOW)
    assert (score.is_apart(NOW + 0.4), score.is_apart(NOW + 0.5)) == (True, False)
    assert score.is_slow(NOW + 9.9)
    assert score.is_doubtful(NOW + 9.9)


def test_one_of_no_use_is_asked_again_after_minutes() -> None:
    score = FRESH.after_refusal(NOW)
    assert (score.is_apart(NOW + 299), score.is_apart(NOW + 300)) == (True, False)


def test_raw_blocks_are_asked_for_again_after_minutes() -> None:
    score = FRESH.after_no_blocks(NOW)
    assert (score.has_raw_blocks(NOW + 599), score.has_raw_blocks(NOW + 600)) == (False, True)
    assert score.is_doubtful(NOW)
    assert not score.after_success().has_raw_blocks(NOW), "that answers hold does not bring them"

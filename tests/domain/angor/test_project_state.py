"""How a project stands, case by case; and what is shown of it."""

from collections.abc import Mapping

import pytest

from raised.domain.angor.investment_state import Place, Tip
from raised.domain.angor.project_snapshot import Profile, parse_profile
from raised.domain.angor.project_state import (
    Candidate,
    StoredFounding,
    decide_project,
    first_reaching,
    target_reached,
)

ME, OTHER = "angor1me", "angor1other"
KEY = "02" * 33
TIP = Tip(110, "tip", 2)
NOTHING: dict[str, tuple[int, int]] = {}


def candidate(name: str, **more: object) -> Candidate:
    known: dict[str, object] = {
        "event_id": name,
        "pubkey": "author",
        "created_at": 5,
        "project_id": ME,
        "founder_key": KEY,
        "reason": None,
        "withdrawn": False,
    }
    return Candidate(**(known | more))  # type: ignore[arg-type]


def founding(
    event_id: str | None, height: int | None, position: int = 0, *, gone: bool = False
) -> StoredFounding:
    place = None if height is None else Place(height, "hash", position, height * 600)
    author = "author" if event_id is None else None
    return StoredFounding(f"tx{height}.{position}", KEY, event_id, author, place, gone)


def stands(
    foundings: list[StoredFounding],
    candidates: list[Candidate],
    tip: Tip | None = TIP,
    reproducing: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[str, str | None, str | None]:
    standing = decide_project(ME, foundings, candidates, tip, (reproducing or {}).get)
    event = standing.event
    return standing.status, standing.reason, None if event is None else event.event_id


BAD = candidate("bad", reason="bad_terms", founder_key=None)
ALIEN = candidate("alien", project_id=OTHER)


@pytest.mark.parametrize(
    ("foundings", "candidates", "wanted"),
    [
        ([], [], ("hidden", None, None)),
        ([], [candidate("a"), candidate("b", created_at=4)], ("announced", None, "b")),
        ([], [candidate("b"), candidate("a")], ("announced", None, "a")),
        ([], [candidate("a", withdrawn=True), candidate("b")], ("announced", None, "b")),
        ([], [candidate("a", withdrawn=True), BAD], ("rejected", "withdrawn", "a")),
        ([], [BAD], ("rejected", "bad_terms", "bad")),
        ([founding("a", None)], [candidate("a")], ("committed", None, "a")),
        ([founding("a", 110)], [candidate("a")], ("committed", None, "a")),
        ([founding("a", None, gone=True)], [candidate("a")], ("announced", None, "a")),
        ([founding("x", None)], [candidate("a")], ("announced", None, "a")),
        ([founding("alien", None)], [ALIEN], ("hidden", None, None)),
        ([founding("a", 109)], [candidate("a")], ("confirmed", None, "a")),
        ([founding("a", 109)], [candidate("a", withdrawn=True)], ("confirmed", None, "a")),
        ([founding("x", 109)], [candidate("a")], ("event_missing", None, None)),
        ([founding("bad", 109)], [BAD, candidate("a")], ("rejected", "bad_terms", "bad")),
        (
            [founding("alien", 109)],
            [ALIEN, candidate("a")],
            ("rejected", "other_event_committed", "alien"),
        ),
        (
            [founding("a", 109)],
            [candidate("a", founder_key="03" * 33)],
            ("rejected", "not_founder_key", "a"),
        ),
        (
            [founding("b", 109, 1), founding("a", 109, 0), founding("b", None)],
            [candidate("a"), candidate("b")],
            ("confirmed", None, "a"),
        ),
        (
            [founding("b", 108), founding("a", 110)],
            [candidate("a"), candidate("b")],
            ("confirmed", None, "b"),
        ),
        ([founding(None, 109)], [], ("event_missing", None, None)),
        ([founding(None, 109)], [candidate("a", pubkey="x")], ("event_missing", None, None)),
        ([founding(None, 109)], [candidate("a")], ("announced", None, "a")),
        ([founding(None, 109)], [candidate("a", withdrawn=True)], ("rejected", "withdrawn", "a")),
        ([founding(None, None)], [candidate("a")], ("announced", None, "a")),
    ],
)
def test_the_first_deep_founding_decides_then_the_first_event(
    foundings: list[StoredFounding],
    candidates: list[Candidate],
    wanted: tuple[str, str | None, str | None],
) -> None:
    assert stands(foundings, candidates) == wanted
    assert stands(foundings[::-1], candidates[::-1]) == wanted


def test_before_the_first_block_nothing_is_deep() -> None:
    assert stands([founding("a", 1)], [candidate("a")], None) == ("committed", None, "a")


def test_the_coins_choose_among_the_events_of_a_legacy_founding() -> None:
    events = [candidate("a"), candidate("b", withdrawn=True), candidate("c")]
    wanted = ("confirmed", None, "b")
    assert stands([founding(None, 100)], events, TIP, {"b": (101, 7), "c": (102, 1)}) == wanted


def test_flags_and_candidates() -> None:
    events = [candidate("a"), candidate("b"), BAD, ALIEN]
    foundings = [founding("a", 100), founding("b", 101), founding("b", 110)]
    standing = decide_project(ME, foundings, events, TIP, NOTHING.get)
    assert (standing.flags, standing.candidates) == (("conflict",), 2)
    shallow = decide_project(ME, [foundings[0], foundings[2]], events, TIP, NOTHING.get)
    assert shallow.flags == ()
    legacy = decide_project(ME, [founding(None, 100)], events, TIP, NOTHING.get)
    assert legacy.flags == ("legacy_founding",)


@pytest.mark.parametrize(
    ("target", "wanted"), [(None, None), (0, None), (100, 99), (99, 99), (1_000_000, 990_000)]
)
def test_a_target_is_reached_one_percent_early(target: int | None, wanted: int | None) -> None:
    assert target_reached(target) == wanted


def test_the_sum_reaches_the_goal_with_the_amount_that_fills_it() -> None:
    amounts = [(10, 3), (20, 4), (30, 5)]
    assert [first_reaching(goal, amounts) for goal in (3, 4, 7, 12, 13)] == [10, 20, 20, 30, None]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", Profile()),
        ("[1]", Profile()),
        ("[" * 100_000, Profile()),
        ('{"name":7,"about":null}', Profile()),
        ('{"name":"n","displayName":"d"}', Profile("d")),
        ('{"name":"n","display_name":"","picture":"p"}', Profile("n", None, "p")),
        (
            '{"name":"\\u0000\\ud800 x ","about":"%s"}' % ("y" * 30_000),
            Profile("? x", "y" * 20_000),
        ),
    ],
)
def test_a_profile_says_what_can_be_kept(content: str, wanted: Profile) -> None:
    assert parse_profile(content) == wanted

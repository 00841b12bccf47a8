"""What is asked for, and what of it is taken."""

from raised.domain.event import Event
from raised.nostr.filters import (
    FILTERS_PER_REQ,
    HUB_ADMIN,
    KEYS_PER_FILTER,
    envelope,
    is_wanted,
    key_lanes,
    live_requests,
)

KEYS = tuple(f"{n:064x}" for n in range(3_000))


def event(kind: int, *tags: tuple[str, ...], pubkey: str = "a" * 64) -> Event:
    return Event("0" * 64, pubkey, 0, kind, tags, "content", "0" * 128)


def test_every_key_is_asked_for_as_author_and_as_receiver() -> None:
    lanes = list(key_lanes(KEYS))
    authors = [key for lane in lanes for key in lane.get("authors", [])]  # type: ignore[attr-defined]
    receivers = [key for lane in lanes for key in lane.get("#p", [])]  # type: ignore[attr-defined]
    assert authors == receivers == list(KEYS)
    assert list(key_lanes(())) == []


def test_a_new_key_changes_only_the_last_subscription() -> None:
    before = list(live_requests(KEYS[:-1]))
    after = list(live_requests(KEYS))
    assert before[:-1] == after[:-1]
    assert len(after) == 1 + -(-2 * -(-len(KEYS) // KEYS_PER_FILTER) // FILTERS_PER_REQ)
    assert all(len(filters) <= FILTERS_PER_REQ for filters in after)


def test_app_data_is_taken_by_its_name() -> None:
    for name in ("angor:project", "angor:faq", "angor:members", "angor:media", "AngorApp"):
        assert is_wanted(event(30078, ("d", name)))
    assert is_wanted(event(30078))  # project events from before May 2025 have no tag
    assert not is_wanted(event(30078, ("d", "game")))


def test_lists_are_the_hubs_own() -> None:
    deny = ("d", "angor:deny")
    assert is_wanted(event(30000, deny, pubkey=HUB_ADMIN))
    assert not is_wanted(event(30000, ("d", "friends"), pubkey=HUB_ADMIN))
    assert not is_wanted(event(30000, deny))
    assert is_wanted(event(10001, pubkey=HUB_ADMIN))
    assert not is_wanted(event(10001))


def test_kinds_we_have_no_use_for_are_left() -> None:
    assert [kind for kind in (0, 1, 3, 4, 5, 7, 3030, 10002, 9735) if is_wanted(event(kind))] == [
        0, 4, 5, 3030, 10002,
    ]  # fmt: skip


def test_an_envelope_says_who_to_whom_and_about_what() -> None:
    tags = (("p", "b"), ("subject", "Investment offer"), ("e", "c"), ("x", "secret"), ())
    kept = envelope(event(4, *tags))
    assert kept.tags == tags[:3]
    assert kept.content == ""

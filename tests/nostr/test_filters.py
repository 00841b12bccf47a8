"""What is requested, what of it is recorded, and whether an event matches a filter.

The simnet's own reading of NIP-01 says what matches.
"""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.hostile_relay import matches

from raised.domain.event import Event
from raised.nostr.filters import (
    ENDED_MAX,
    FILTERS_PER_REQ,
    HUB_ADMIN,
    PUBKEYS_PER_FILTER,
    Filter,
    RequestedFilters,
    filter_matcher,
    is_wanted,
    live_filters,
    pubkey_filters,
    without_content,
)

PUBKEYS = tuple(f"{n:064x}" for n in range(3_000))
HEX = ["a" * 64, "b" * 64, "c" * 64]
PROJECTS: Filter = {"kinds": [3030], "limit": 1}

events = st.builds(
    Event,
    id=st.sampled_from(HEX),
    pubkey=st.sampled_from(HEX),
    created_at=st.integers(0, 4),
    kind=st.integers(0, 3),
    tags=st.lists(
        st.lists(st.sampled_from(["d", "p", "x", ""]), max_size=3).map(tuple), max_size=3
    ).map(tuple),
    content=st.just(""),
    sig=st.just("0" * 128),
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(st.sampled_from(HEX), max_size=2),
        "authors": st.lists(st.sampled_from(HEX), max_size=2),
        "kinds": st.lists(st.integers(0, 3), max_size=2),
        "since": st.integers(0, 4),
        "until": st.integers(0, 4),
        "limit": st.integers(0, 2),
        "#d": st.lists(st.sampled_from(["d", "p", "x", ""]), max_size=2),
        "#p": st.lists(st.sampled_from(["d", "p", "x", ""]), max_size=2),
    },
)


def event(kind: int, *tags: tuple[str, ...], pubkey: str = "a" * 64) -> Event:
    return Event("0" * 64, pubkey, 0, kind, tags, "content", "0" * 128)


def test_every_pubkey_is_in_a_filter_as_author_and_as_receiver() -> None:
    filters = list(pubkey_filters(PUBKEYS))
    authors = [key for conditions in filters for key in conditions.get("authors", [])]  # type: ignore[attr-defined]
    receivers = [key for conditions in filters for key in conditions.get("#p", [])]  # type: ignore[attr-defined]
    assert authors == receivers == list(PUBKEYS)
    assert list(pubkey_filters(())) == []


def test_a_new_key_changes_only_the_last_subscription() -> None:
    before = list(live_filters(PUBKEYS[:-1]))
    after = list(live_filters(PUBKEYS))
    assert before[:-1] == after[:-1]
    assert len(after) == 1 + -(-2 * -(-len(PUBKEYS) // PUBKEYS_PER_FILTER) // FILTERS_PER_REQ)
    assert all(len(request) <= FILTERS_PER_REQ for request in after)


def test_app_data_is_wanted_by_its_d_tag() -> None:
    for name in ("angor:project", "angor:faq", "angor:members", "angor:media", "AngorApp"):
        assert is_wanted(event(30078, ("d", name)))
    assert is_wanted(event(30078))  # project events from before May 2025 have no tag
    assert not is_wanted(event(30078, ("d", "game")))


def test_lists_are_wanted_from_the_hubs_administrator_alone() -> None:
    deny = ("d", "angor:deny")
    assert is_wanted(event(30000, deny, pubkey=HUB_ADMIN))
    assert not is_wanted(event(30000, ("d", "friends"), pubkey=HUB_ADMIN))
    assert not is_wanted(event(30000, deny))
    assert is_wanted(event(10001, pubkey=HUB_ADMIN))
    assert not is_wanted(event(10001))


def test_other_kinds_are_not_wanted() -> None:
    assert [kind for kind in (0, 1, 3, 4, 5, 7, 3030, 10002, 9735) if is_wanted(event(kind))] == [
        0, 4, 5, 3030, 10002,
    ]  # fmt: skip


def test_a_message_keeps_receiver_subject_and_reply_and_no_content() -> None:
    tags = (("p", "b"), ("subject", "Investment offer"), ("e", "c"), ("x", "secret"), ())
    message = without_content(event(4, *tags))
    assert message.tags == tags[:3]
    assert message.content == ""


@given(conditions=filters, event=events)
def test_an_event_matches_a_filter_as_on_a_relay(conditions: Filter, event: Event) -> None:
    fields = {name: getattr(event, name) for name in ("id", "pubkey", "created_at", "kind")}
    sent = {**fields, "tags": [list(tag) for tag in event.tags]}
    assert filter_matcher(conditions).matches(event) == matches(conditions, cast("Any", sent))


def test_an_event_has_to_match_a_single_filter_of_its_subscription() -> None:
    requested = RequestedFilters()
    requested.open("live-0", [PROJECTS, {"kinds": [5]}])
    assert requested.match("live-0", event(3030))
    assert requested.match("live-0", event(5))
    assert not requested.match("live-0", event(1))
    assert not requested.match("live-1", event(3030))


def test_events_are_expected_for_a_while_after_their_subscription_has_ended() -> None:
    requested = RequestedFilters()
    for name in range(ENDED_MAX + 2):
        requested.open(f"page-{name}", [PROJECTS])
    requested.end("page-0")
    requested.end("page-0")
    requested.end("never")
    assert requested.match("page-0", event(3030))
    assert not requested.match("page-0", event(1))
    for name in range(1, ENDED_MAX + 1):
        requested.end(f"page-{name}")
    assert not requested.match("page-0", event(3030))
    assert requested.match("page-1", event(3030))
    assert requested.match(f"page-{ENDED_MAX + 1}", event(3030))

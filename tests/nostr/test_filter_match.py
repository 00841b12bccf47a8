"""What was asked for, by the simnet's own reading of NIP-01."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.hostile_relay import matches

from raised.domain.event import Event
from raised.nostr.filter_match import ENDED_KEPT, Subscriptions, wanted
from raised.nostr.filters import Filter

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


def event(kind: int) -> Event:
    return Event("0" * 64, "a" * 64, 0, kind, (), "", "0" * 128)


@given(asked=filters, event=events)
def test_an_event_fits_as_a_relay_would_say(asked: Filter, event: Event) -> None:
    fields = {name: getattr(event, name) for name in ("id", "pubkey", "created_at", "kind")}
    told = {**fields, "tags": [list(tag) for tag in event.tags]}
    assert wanted(asked).matches(event) == matches(asked, cast("Any", told))


def test_one_filter_of_several_is_enough() -> None:
    subscriptions = Subscriptions()
    subscriptions.begin("live-0", [PROJECTS, {"kinds": [5]}])
    assert subscriptions.wanted("live-0", event(3030))
    assert subscriptions.wanted("live-0", event(5))
    assert not subscriptions.wanted("live-0", event(1))
    assert not subscriptions.wanted("live-1", event(3030))


def test_what_ended_lately_is_still_on_its_way_and_what_ended_long_ago_is_not() -> None:
    subscriptions = Subscriptions()
    for name in range(ENDED_KEPT + 2):
        subscriptions.begin(f"ask-{name}", [PROJECTS])
    subscriptions.end("ask-0")
    subscriptions.end("ask-0")
    subscriptions.end("never")
    assert subscriptions.wanted("ask-0", event(3030))
    assert not subscriptions.wanted("ask-0", event(1))
    for name in range(1, ENDED_KEPT + 1):
        subscriptions.end(f"ask-{name}")
    assert not subscriptions.wanted("ask-0", event(3030))
    assert subscriptions.wanted("ask-1", event(3030))
    assert subscriptions.wanted(f"ask-{ENDED_KEPT + 1}", event(3030))

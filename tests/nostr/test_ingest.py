"""Our own check: what is genuine, what is only held, what is forged."""

import asyncio
import time
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raised.domain.event import Event, event_from_json
from raised.domain.observation import EventsSeen, Observation
from raised.nostr import ingest
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Intake, Recent, sift
from raised_simnet.actors.nostr_event import sign_event

SECRET = bytes(31) + b"\x09"


def project(n: int, at: int = 1_700_000_000) -> Event:
    return event_from_json(dict(sign_event(SECRET, kind=3030, content=f"{n}", created_at=at)))


def forgery(event: Event) -> Event:
    return replace(event, content=event.content + "!")


GENUINE = [project(n) for n in range(6)]


def test_a_genuine_event_is_taken_once() -> None:
    sifted = sift([GENUINE[0], GENUINE[1], GENUINE[0]], known=())
    assert sifted.genuine == (GENUINE[0], GENUINE[1])
    assert (sifted.held, sifted.forged, sifted.kinds) == ((), 0, (3030, 3030))


def test_of_a_known_event_only_its_id_is_kept() -> None:
    sifted = sift([GENUINE[0], GENUINE[0]], known={GENUINE[0].id})
    assert (sifted.genuine, sifted.held, sifted.forged) == ((), (GENUINE[0].id,), 0)


def test_other_content_under_a_known_id_is_no_sign_of_holding_it() -> None:
    sifted = sift([forgery(GENUINE[0])], known={GENUINE[0].id})
    assert (sifted.genuine, sifted.held, sifted.forged) == ((), (), 1)


def test_a_lone_surrogate_is_no_event() -> None:
    bad = replace(GENUINE[0], content="\ud800")
    assert sift([bad], known={bad.id}).forged == 1
    assert sift([bad], known=()).forged == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=20))
def test_nothing_forged_is_taken_and_nothing_genuine_is_lost(
    sent: list[tuple[int, bool, bool]],
) -> None:
    known = {GENUINE[n].id for n, _, is_known in sent if is_known}
    batch = [forgery(GENUINE[n]) if forged else GENUINE[n] for n, forged, _ in sent]
    sifted = sift(batch, known)
    honest = {event.id for event in batch if event in GENUINE}
    assert {event.id for event in sifted.genuine} == honest - known
    assert set(sifted.held) == honest & known
    assert all(event in GENUINE for event in sifted.genuine)
    assert sifted.forged == sum(forged for _, forged, _ in sent)


def test_recent_ids_are_forgotten_in_the_order_they_came() -> None:
    recent = Recent(size=2)
    recent.add(["a", "b", "c"])
    assert [id_ in recent for id_ in "abc"] == [False, True, True]


class Deciding:
    """An intake beside a record that knows what it is told."""

    def __init__(self, record: Any) -> None:
        self.health = RelayHealth("wss://relay", 600)
        self.outbox: asyncio.Queue[Observation] = asyncio.Queue(1)
        self.recent = Recent()
        self.intake = Intake(self.health, record, self.recent, self.outbox)


async def test_a_full_outbox_holds_the_relay_back(record: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(ingest, "WAITING", 10)
    at = Deciding(record)
    async with asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(at.intake.follow_singles())
        sender = tasks.create_task(send(at.intake, 40))
        await asyncio.wait([sender], timeout=0.3)
        assert not sender.done()
        got: list[Event] = []
        while len(got) < 40:
            seen = await at.outbox.get()
            assert isinstance(seen, EventsSeen)
            got += seen.events
        await sender
        await at.intake.drain()
        pump.cancel()
    assert len(set(got)) == 40


async def send(to: Intake, count: int) -> None:
    for n in range(count):
        await to.put(project(n))
        await asyncio.sleep(0)


async def test_a_page_comes_in_pieces_and_another_relays_copy_is_held_after_it(record: Any) -> None:
    first, second = Deciding(record), Deciding(record)
    second.intake = Intake(second.health, record, first.recent, second.outbox)
    page = [project(n) for n in range(3)]
    async with asyncio.TaskGroup() as tasks:
        pumps = [tasks.create_task(each.intake.follow_pages()) for each in (first, second)]
        await first.intake.put_page(page)
        seen = await first.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert (seen.events, seen.held) == (tuple(page), ())
        await first.intake.drain_pages()
        await second.intake.put_page(page)
        seen = await second.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert (seen.events, seen.held) == ((), tuple(event.id for event in page))
        for pump in pumps:
            pump.cancel()


async def test_an_event_that_is_asked_for_by_id_is_taken_whatever_its_kind(record: Any) -> None:
    at = Deciding(record)
    note = event_from_json(dict(sign_event(SECRET, kind=1, content="", created_at=5)))
    late = event_from_json(
        dict(sign_event(SECRET, kind=1, content="", created_at=int(time.time()) + 5_000))
    )
    at.intake.asked = {note.id, late.id}
    other = event_from_json(dict(sign_event(SECRET, kind=1, content="other", created_at=5)))
    async with asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(at.intake.follow_pages())
        await at.intake.put_page([other, late, note])
        seen = await at.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert seen.events == (note,)
        pump.cancel()
    assert at.health.errors == {"from_the_future": 1}

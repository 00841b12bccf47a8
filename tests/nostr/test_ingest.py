"""Our own verification: events that are genuine, known to the record, or forged."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.event import Event, event_from_json
from raised.domain.observation import EventsSeen, Observation
from raised.nostr import ingest
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Ingest, SeenCache, verify_batch
from raised_simnet.actors.nostr_event import sign_event

SECRET = bytes(31) + b"\x09"


def project(n: int, at: int = 1_700_000_000) -> Event:
    return event_from_json(dict(sign_event(SECRET, kind=3030, content=f"{n}", created_at=at)))


def forgery(event: Event) -> Event:
    return replace(event, content=event.content + "!")


GENUINE = [project(n) for n in range(6)]


def test_a_genuine_event_is_accepted_once() -> None:
    verified = verify_batch([GENUINE[0], GENUINE[1], GENUINE[0]], known=())
    assert verified.genuine == (GENUINE[0], GENUINE[1])
    assert (verified.known_ids, verified.forged, verified.kinds) == ((), 0, (3030, 3030))


def test_of_a_known_event_only_the_id_is_returned() -> None:
    verified = verify_batch([GENUINE[0], GENUINE[0]], known={GENUINE[0].id})
    assert (verified.genuine, verified.known_ids, verified.forged) == ((), (GENUINE[0].id,), 0)


def test_other_content_under_a_known_id_is_forged() -> None:
    verified = verify_batch([forgery(GENUINE[0])], known={GENUINE[0].id})
    assert (verified.genuine, verified.known_ids, verified.forged) == ((), (), 1)


def test_an_event_with_a_lone_surrogate_is_forged() -> None:
    bad = replace(GENUINE[0], content="\ud800")
    assert verify_batch([bad], known={bad.id}).forged == 1
    assert verify_batch([bad], known=()).forged == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=20))
def test_no_forged_event_is_accepted_and_no_genuine_event_is_lost(
    sent: list[tuple[int, bool, bool]],
) -> None:
    known = {GENUINE[n].id for n, _, is_known in sent if is_known}
    batch = [forgery(GENUINE[n]) if forged else GENUINE[n] for n, forged, _ in sent]
    verified = verify_batch(batch, known)
    genuine_ids = {event.id for event in batch if event in GENUINE}
    assert {event.id for event in verified.genuine} == genuine_ids - known
    assert set(verified.known_ids) == genuine_ids & known
    assert all(event in GENUINE for event in verified.genuine)
    assert verified.forged == sum(forged for _, forged, _ in sent)


def test_the_cache_forgets_the_oldest_ids() -> None:
    seen = SeenCache(size=2)
    seen.add(["a", "b", "c"])
    assert [id_ in seen for id_ in "abc"] == [False, True, True]


class IngestSetup:
    """An ingest with its health, its cache and a small outbox."""

    def __init__(self, record: Any) -> None:
        self.health = RelayHealth("wss://relay", 600)
        self.outbox: asyncio.Queue[Observation] = asyncio.Queue(1)
        self.seen = SeenCache()
        self.ingest = Ingest(self.health, record, self.seen, self.outbox)


async def test_a_full_outbox_makes_the_relay_wait(record: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(ingest, "LIVE_QUEUE_MAX", 10)
    setup = IngestSetup(record)
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_live())
        sender = tasks.create_task(send(setup.ingest, 40))
        await asyncio.wait([sender], timeout=0.3)
        assert not sender.done()
        observed: list[Event] = []
        while len(observed) < 40:
            seen = await setup.outbox.get()
            assert isinstance(seen, EventsSeen)
            observed += seen.events
        await sender
        await setup.ingest.drain()
        worker.cancel()
    assert len(set(observed)) == 40


async def send(ingest: Ingest, count: int) -> None:
    for n in range(count):
        await ingest.put(project(n))
        await asyncio.sleep(0)


async def test_a_second_relays_copy_of_a_page_is_observed_by_its_ids(record: Any) -> None:
    first, second = IngestSetup(record), IngestSetup(record)
    second.ingest = Ingest(second.health, record, first.seen, second.outbox)
    page = [project(n) for n in range(3)]
    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(setup.ingest.process_pages()) for setup in (first, second)]
        await first.ingest.put_page(page)
        seen = await first.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert (seen.events, seen.held) == (tuple(page), ())
        await first.ingest.drain_pages()
        await second.ingest.put_page(page)
        seen = await second.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert (seen.events, seen.held) == ((), tuple(event.id for event in page))
        for worker in workers:
            worker.cancel()


async def test_an_event_that_is_requested_by_id_is_accepted_whatever_its_kind(record: Any) -> None:
    setup = IngestSetup(record)
    note = event_from_json(dict(sign_event(SECRET, kind=1, content="", created_at=5)))
    late = event_from_json(
        dict(sign_event(SECRET, kind=1, content="", created_at=int(time.time()) + 5_000))
    )
    setup.ingest.requested_ids = {note.id, late.id}
    other = event_from_json(dict(sign_event(SECRET, kind=1, content="other", created_at=5)))
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_pages())
        await setup.ingest.put_page([other, late, note])
        seen = await setup.outbox.get()
        assert isinstance(seen, EventsSeen)
        assert seen.events == (late, note)
        worker.cancel()
    assert not setup.health.errors


@pytest.mark.parametrize("ahead", [7_200, 365 * 86_400, 1 << 53])
@pytest.mark.parametrize("kind", [3030, 0])
async def test_a_date_ahead_decides_nothing_for_regular_kinds_and_blames_no_relay(
    record: Any, ahead: int, kind: int
) -> None:
    """A profile would replace others until then; it is read again when it is due."""
    setup = IngestSetup(record)
    at = int(time.time()) + ahead
    late = event_from_json(dict(sign_event(SECRET, kind=kind, content="{", created_at=at)))
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_pages())
        await setup.ingest.put_page([late, GENUINE[0]])
        seen = await setup.outbox.get()
        worker.cancel()
    assert isinstance(seen, EventsSeen)
    assert seen.events == ((late, GENUINE[0]) if kind == 3030 else (GENUINE[0],))
    setup.health.on_connected()
    report = setup.health.due_report(int(time.time()))
    assert report is not None
    assert (report.state, report.last_error) == ("ok", None)


async def test_a_date_that_no_database_holds_is_no_event(record: Any) -> None:
    setup = IngestSetup(record)
    late = event_from_json(dict(sign_event(SECRET, kind=3030, content="{", created_at=5)))
    late = replace(late, created_at=1 << 63)
    setup.ingest.requested_ids = {late.id}
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(setup.ingest.process_pages())
        await setup.ingest.put_page([late, GENUINE[0]])
        seen = await setup.outbox.get()
        worker.cancel()
    assert isinstance(seen, EventsSeen)
    assert seen.events == (GENUINE[0],)
    assert not setup.health.errors

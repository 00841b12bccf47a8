"""Events that the chain commits to: the id decides, not the date nor what a database holds."""

from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World

from raised.db import schema
from raised.db.facts.events import events_by_id
from raised.db.queries import relay_source
from raised.domain.angor.investment_state import Place, StoredTx
from raised.domain.angor.network import network_named
from raised.domain.audit.audit import audit
from raised.domain.event import event_from_json
from raised.domain.observation import BackfillDone

DAY = 86_400
START = 1_768_435_200


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def test_a_committed_event_is_stored_whatever_its_kind_and_date_but_is_no_profile(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """What the chain commits to is an id; until its date it does not replace other profiles."""
    ahead = founder.signed(
        30078, founder.event["content"], world.now + 365 * DAY, ("d", "AngorApp"), ("r", "x")
    )
    await ledger.see(world.told(ahead))
    assert await ledger.rows(schema.event) == []
    await ledger.see(world.mine(founder.found(ahead["id"])), world.told(ahead))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["event_id"]) == ("confirmed", ahead["id"])
    assert await ledger.rows(schema.project_profile) == []
    text = founder.signed(30078, "words", START, ("d", "AngorApp"))
    await ledger.see(world.told(text, founder.signed(5, "", START, ("e", "0" * 64))))
    assert [row["content"] for row in await ledger.rows(schema.project_profile)] == ["words"]


@pytest.mark.parametrize("ahead", [-START, 2 * 3_600, 365 * DAY, 1 << 53])
async def test_a_project_event_of_any_date_is_confirmed(
    ledger: Ledger, world: World, founder: Founder, ahead: int
) -> None:
    event = founder.signed(3030, founder.event["content"], START + ahead)
    await ledger.see(world.told(event), world.mine(founder.found(event["id"])))
    assert (await ledger.project(founder.project_id))["status"] == "confirmed"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("{", "\0{", ("rejected", "bad_terms")),
        ('"penaltyDays"', '"note\0":"","penaltyDays"', ("rejected", "bad_terms")),
        ('"penaltyDays"', '"note":"\\u0000\\ud800","penaltyDays"', ("confirmed", None)),
        ("{", "\x01json\x01{", ("rejected", "bad_terms")),
    ],
)
async def test_a_committed_event_that_no_database_holds_as_it_is_gets_the_answer_of_the_audit(
    ledger: Ledger, world: World, founder: Founder, old: str, new: str, status: Any
) -> None:
    content = founder.event["content"].replace(old, new, 1)
    assert content != founder.event["content"]
    event = founder.signed(3030, content, START, ("d", "a\0b"))
    founding = founder.found(event["id"])
    await ledger.see(world.mine(founding))
    async with ledger.engine.connect() as conn:
        assert await relay_source.missing_events(conn) == (event["id"],)
    await ledger.see(world.told(event), world.mine(founder.invested().tx))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["reason"]) == status
    async with ledger.engine.connect() as conn:
        assert await relay_source.missing_events(conn) == ()
        (stored,) = (await events_by_id(conn, [event["id"]])).values()
    assert stored == event_from_json(dict(event))
    place = Place(101, "0" * 64, 1, START)
    report = audit(network_named("regtest"), stored, [StoredTx(founding, place, START, gone=False)])
    assert (report.project.status, report.project.reason) == status


async def test_a_cursor_that_a_wrong_clock_set_ahead_is_set_back(ledger: Ledger) -> None:
    async def cursor() -> Any:
        (row,) = await ledger.rows(schema.cursor)
        return row["value"], row["full_at"]

    await ledger.see(BackfillDone("wss://one", START + DAY, START + DAY, full=True))
    assert await cursor() == (START + DAY, START + DAY)
    await ledger.see(BackfillDone("wss://one", START + 5, START, full=True))
    assert await cursor() == (START, START)
    await ledger.see(BackfillDone("wss://one", START + 90, START + 60, full=False))
    assert await cursor() == (START + 60, START)
    await ledger.see(BackfillDone("wss://one", START + 90, START + 30, full=False))
    assert await cursor() == (START + 60, START)

"""The writer's loop, and what it keeps of the sources themselves."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.record.conftest import Founder, Ledger, World
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.db.audit.check import differences
from raised.db.engine import reading, transact
from raised.db.facts import cursors
from raised.db.facts.events import original_content
from raised.domain.observation import (
    BackfillDone,
    ClockTicked,
    ConfiguredStore,
    DaemonStarted,
    EventsSeen,
    Observation,
    Progress,
    SourceHealth,
    SourcesConfigured,
    State,
)
from raised.errors import RecordUnavailable
from raised.record import apply_observations, rewind, write_observations

NOW = 1_800_000_000


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


def followed(relays: tuple[str, ...] = (), stores: tuple[str, ...] = ()) -> SourcesConfigured:
    """These sources are followed from now on."""
    configured = tuple(ConfiguredStore(label, "", "", (), (), ()) for label in stores)
    return SourcesConfigured(NOW, "regtest", 1, relays, (), configured)


async def types(ledger: Ledger) -> Any:
    return [row["type"] for row in await ledger.changes()]


async def test_the_loop_commits_what_waits_and_says_so(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    queue: asyncio.Queue[Observation] = asyncio.Queue()
    commits: list[int] = []
    for observation in (
        world.told(founder.event),
        world.mine(founder.found()),
        ClockTicked(world.now),
    ):
        queue.put_nowait(observation)

    def committed(batch: Sequence[Observation], _seconds: float) -> None:
        commits.append(len(batch))

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(
            write_observations(queue, ledger.engine, ledger.policy, committed)
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            await queue.join()
        assert (await ledger.project(founder.project_id))["status"] == "confirmed"
        queue.put_nowait(world.mine(founder.invested().tx))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await queue.join()
        writing.cancel()
    assert commits == [3, 1]
    assert (await ledger.project(founder.project_id))["investments"] == 1


async def test_a_batch_that_fails_leaves_nothing_behind(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    async def seen_and_torn(conn: AsyncConnection) -> Any:
        await apply_observations(conn, [world.told(founder.event)], ledger.policy)
        await conn.execute(text("INSERT INTO no_such_table VALUES (1)"))

    with pytest.raises(RecordUnavailable):
        await transact(ledger.engine, seen_and_torn)
    assert await ledger.rows(schema.event) == []
    assert await ledger.rows(schema.counter) == []


async def test_only_another_state_of_a_source_is_a_change(ledger: Ledger) -> None:
    def health(state: State, at: int, **more: Any) -> SourceHealth:
        return SourceHealth("relay", "wss://one", state, at, **more)

    await ledger.see(
        health("ok", NOW, last_success_at=NOW),
        health("ok", NOW + 5, latency_ms=20, facts={"events": {"3030": 4}}),
        health("down", NOW + 9, last_error=("unreachable", "No answer."), errors={"timeout": 2}),
        health("down", NOW + 12),
        health("degraded", NOW + 15),
        health("ok", NOW + 20),
    )
    assert await types(ledger) == ["source.lost", "source.degraded", "source.restored"]
    (row,) = await ledger.rows(schema.relay)
    assert (row["state"], row["since_at"], row["seen_at"]) == ("ok", NOW + 20, NOW + 20)
    lost = (await ledger.changes())[0]
    assert lost["data"]["last_error"] == {"code": "unreachable", "detail": "No answer."}
    assert lost["reference"] == "wss://one"


async def test_a_source_that_is_down_at_first_sight_is_a_change(ledger: Ledger) -> None:
    await ledger.see(SourceHealth("explorer", "http://one", "down", NOW))
    assert await types(ledger) == ["source.lost"]


async def test_sources_that_are_followed_no_more_are_forgotten(ledger: Ledger) -> None:
    await ledger.see(
        SourceHealth("relay", "wss://one", "ok", NOW),
        SourceHealth("relay", "wss://two", "ok", NOW),
        SourceHealth("explorer", "http://x", "ok", NOW),
    )
    await ledger.see(followed(relays=("wss://two",)))
    assert [row["name"] for row in await ledger.rows(schema.relay)] == ["wss://two"]
    assert await ledger.rows(schema.explorer) == []


async def test_stores_are_sources_too_and_keep_their_misses(ledger: Ledger) -> None:
    await ledger.see(SourceHealth("store", "shop", "down", NOW, facts={"version": "2.4.5"}))
    async with ledger.engine.begin() as conn:
        await conn.execute(text("UPDATE store SET misses = 3, last_miss_at = 7"))
    await ledger.see(SourceHealth("store", "shop", "ok", NOW + 1))
    assert await types(ledger) == ["source.lost", "source.restored"]
    lost, restored = [row["data"] for row in await ledger.changes()]
    assert (lost["version"], lost["misses"], restored["misses"]) == ("2.4.5", 0, 3)
    await ledger.see(followed(stores=("stall",)))
    assert await ledger.rows(schema.store) == []


async def test_ticks_and_progress_make_no_changes(ledger: Ledger) -> None:
    await ledger.see(DaemonStarted(NOW - 60, "0.1.0"), followed(relays=("wss://one",)))
    await ledger.see(Progress("index", 3, 10, NOW), Progress("back-fill", 1, 1, NOW))
    await ledger.see(ClockTicked(NOW + 5))
    (row,) = await ledger.rows(schema.daemon)
    assert row["seen_at"] == NOW + 5
    assert json.loads(row["progress"]) == {"index": [3, 10], "back-fill": [1, 1]}
    assert json.loads(row["settings"])["relays"] == ["wss://one"]
    assert await types(ledger) == []


async def test_progress_before_the_daemon_was_announced_is_lost(ledger: Ledger) -> None:
    await ledger.see(Progress("index", 3, 10, NOW), ClockTicked(NOW))
    assert await ledger.rows(schema.daemon) == []


async def test_a_tick_moves_the_next_stage_on(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event))
    first, second = (stage.release_at for stage in founder.plan.stages)
    for at, wanted in ((first - 1, first), (first, second), (second + 1, None)):
        await ledger.see(ClockTicked(at))
        assert (await ledger.project(founder.project_id))["next_stage_at"] == wanted


async def test_a_cursor_never_goes_back(ledger: Ledger) -> None:
    for began_at, full in ((NOW, True), (NOW - 50, False), (NOW + 7, False), (NOW - 9, True)):
        await ledger.see(BackfillDone("wss://one", NOW + 9, began_at, full))
    async with reading(ledger.engine) as conn:
        assert await cursors.cursor_of(conn, "relay", "wss://one") == (NOW + 7, NOW)
        assert await cursors.cursor_of(conn, "relay", "wss://two") is None


async def test_the_age_of_the_mempool_view_is_kept(ledger: Ledger, world: World) -> None:
    await ledger.see(world.pool())
    async with reading(ledger.engine) as conn:
        assert await cursors.cursor_of(conn, "mempool", "explorer") == (world.now, None)


async def test_what_a_direct_message_says_is_not_kept(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.signed(4, "secret", NOW, ("p", "ab" * 32))))
    (row,) = await ledger.rows(schema.event)
    assert row["content"] == ""
    assert "ab" * 32 in row["tags"]


async def test_an_event_with_a_nul_is_kept_as_it_was_signed_on_every_database(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.signed(1, "a\0b", NOW), founder.signed(1, "ab", NOW)))
    contents = {original_content(row["content"]) for row in await ledger.rows(schema.event)}
    assert contents == {"a\0b", "ab"}


async def test_events_from_a_file_are_held_by_no_relay(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    told = world.told(founder.event)
    await ledger.see(EventsSeen("", told.at, told.events))
    assert (await ledger.project(founder.project_id))["status"] == "announced"
    assert await ledger.rows(schema.event_relay) == []


async def test_held_ids_that_we_lack_are_not_believed(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(EventsSeen("wss://one", NOW, (), (founder.event["id"],)))
    assert await ledger.rows(schema.event_relay) == []
    await ledger.see(world.told(founder.event))
    await ledger.see(EventsSeen("wss://two", NOW, (), (founder.event["id"],)))
    assert len(await ledger.rows(schema.event_relay)) == 2


async def test_a_rewind_undoes_everything_above_a_height(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    height = world.tip.height
    again = [world.mine(founder.invested(label=f"{n}").tx) for n in range(3)]
    await ledger.see(*again)
    await transact(ledger.engine, rewind, height + 1, NOW, ledger.policy)
    project = await ledger.project(founder.project_id)
    assert (project["investments"], project["unconfirmed_sats"]) == (1, 2 * 990_000)
    await ledger.see(*again[1:])
    assert (await ledger.project(founder.project_id))["investments"] == 3
    await transact(ledger.engine, rewind, 0, NOW, ledger.policy)
    assert await ledger.rows(schema.block) == []
    async with reading(ledger.engine) as conn:
        assert await differences(conn) == []

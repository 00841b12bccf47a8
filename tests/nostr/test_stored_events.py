"""Pages of one relay: the pager as long as it serves, patience where a relay asks for it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from raised.domain.event import Event
from raised.errors import Refused, Unavailable
from raised.nostr.backfill import CAPPED, PAGE
from raised.nostr.filters import Filter
from raised.nostr.health import RelayHealth
from raised.nostr.ingest import Intake, Recent
from raised.nostr.page_reader import Page
from raised.nostr.relay_state import Standing
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming
from raised.nostr.stored_events import ATTEMPTS, RelayShelf

EVENT = Event("0" * 64, "a" * 64, 5, 3030, (), "", "0" * 128)
ASKED: Filter = {"kinds": [3030], "limit": PAGE}


class Answers:
    """A line or a pager that gives these answers, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Filter] = []

    async def page(self, asked: Filter) -> Any:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def unseen(self, asked: Filter, held: Sequence[Event]) -> Any:
        return self.answers.pop(0)


@pytest.fixture
def standing(record: Any) -> Standing:
    health = RelayHealth("wss://relay", 600)
    intake = Intake(health, record, Recent(), asyncio.Queue())
    timing = RelayTiming(resubscribe=0.001, resubscribe_max=0.002)
    endpoint = RelayEndpoint(RelaySettings("wss://relay"), None, timing)
    return Standing(endpoint, record, health, intake, asyncio.Queue())


def shelf(standing: Standing, line: Answers, pager: Answers | None = None) -> RelayShelf:
    async def keep_live() -> None:
        """Nothing to keep."""

    return RelayShelf(line, pager, standing, keep_live)  # type: ignore[arg-type]


async def test_a_relay_that_limits_the_rate_is_waited_for(standing: Standing) -> None:
    limited = Refused("relay", "closed", "rate-limited")
    line = Answers(limited, limited, [EVENT])
    assert await shelf(standing, line).sure_page(ASKED) == [EVENT]
    with pytest.raises(Refused):
        await shelf(standing, Answers(*[limited] * ATTEMPTS)).sure_page(ASKED)


async def test_another_refusal_is_final(standing: Standing) -> None:
    with pytest.raises(Refused):
        await shelf(standing, Answers(Refused("relay", "closed", "restricted"))).sure_page(ASKED)


async def test_a_pager_that_breaks_is_given_up_and_what_it_brought_is_taken(
    standing: Standing,
) -> None:
    pager = Answers(Page([EVENT], whole=False))
    line = Answers([EVENT], [EVENT])
    broken = shelf(standing, line, pager)
    async with asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(standing.intake.follow_pages())
        assert await broken.page(ASKED) == [EVENT]
        assert await broken.page(ASKED) == [EVENT]
        await standing.intake.drain_pages()
        pump.cancel()
    assert len(line.asked) == 2
    assert standing.health.forged == 1  # it went the way of all events


async def test_a_pager_that_cannot_answer_is_given_up(standing: Standing) -> None:
    pager = Answers(Unavailable("relay", "too large", "incomplete"))
    assert await shelf(standing, Answers([EVENT]), pager).page(ASKED) == [EVENT]
    assert standing.health.errors["incomplete"] == 1


async def test_a_relay_that_ignores_limits_is_taken_whole_and_named(standing: Standing) -> None:
    pager = Answers(Page([EVENT] * (PAGE + 1), whole=True), Page([EVENT] * 3 * PAGE, whole=True))
    line = Answers([EVENT] * 2 * PAGE)
    ignoring = shelf(standing, line, pager)
    assert len(await ignoring.page(ASKED)) == PAGE + 1
    assert standing.health.errors["flood"] == 0  # one was published meanwhile, say
    assert len(await ignoring.page(ASKED)) == 3 * PAGE
    assert standing.health.errors["flood"] == 1
    assert len(await ignoring.sure_page(ASKED)) == 2 * PAGE
    assert standing.health.errors["flood"] == 2


async def test_a_page_with_unseen_bytes_is_asked_for_again_where_all_is_seen(
    standing: Standing,
) -> None:
    """They may be garbage or an event after the EOSE: the pager cannot tell and accuses nobody."""
    much = [EVENT] * CAPPED
    pager = Answers(
        Page(much, whole=True, clean=False),
        Page(much, whole=True),
        Page([EVENT], whole=True, clean=False),
    )
    line = Answers([])
    doubting = shelf(standing, line, pager)
    async with asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(standing.intake.follow_pages())
        assert await doubting.page(ASKED) == []
        await standing.intake.drain_pages()
        pump.cancel()
    assert line.asked == [ASKED]
    assert standing.health.forged == CAPPED  # what it had brought went the way of all events
    assert not standing.health.errors.keys() - {"forged"}
    assert await doubting.page(ASKED) == much  # the pager stays
    assert await doubting.page(ASKED) == [EVENT]  # after a short page the line is asked anyway
    assert line.asked == [ASKED]


async def test_a_relay_without_nip_77_is_asked_once(standing: Standing) -> None:
    deaf = shelf(standing, Answers(), Answers(None))
    assert await deaf.unseen(ASKED, []) is None
    assert await deaf.unseen(ASKED, []) is None
    assert not standing.compares

"""Stories on the real chain: Bitcoin Core's engine accepts every step, the oracle adds up."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raised.domain.event import event_from_json, is_authentic
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.wallet import Wallet, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.story.honest_projects import Calendar, invest_plan
from raised_simnet.story.journal import Exit
from raised_simnet.story.oracle import project_outcomes, summary
from raised_simnet.story.player import Player, chain_start
from raised_simnet.story.project_script import Intent, ProjectScript, founder_of, stages
from raised_simnet.story.steps import Founds, Publish
from raised_simnet.story.stories import full_story, small_story, start_before
from raised_simnet.story.storyboard import SPACING, Story, Storyboard

START = 1768435200  # 2026-01-15


async def nobody_listens(event: Event, relays: tuple[int, ...] | None) -> None:
    """Relays are no part of what is tested here."""


@contextmanager
def stage(story: Story, directory: Path) -> Iterator[tuple[RegtestChain, Player]]:
    chain = RegtestChain(directory, chain_start(story))
    try:
        yield chain, Player(chain, story, nobody_listens)
    finally:
        chain.close()


async def perform(chain: RegtestChain, player: Player, story: Story) -> None:
    miner = Wallet(chain, "miner")
    fund(chain, miner)
    player.prepare(miner)
    for step in story.steps:
        await player.perform(step)


@pytest.mark.parametrize("seed", [0, 1, 7])
async def test_every_step_of_the_full_story_is_accepted(seed: int, tmp_path: Path) -> None:
    story = full_story(seed, START)
    with stage(story, tmp_path) as (chain, player):
        await perform(chain, player, story)
        assert chain.tip_time <= story.start_at + 119 * SPACING
        assert chain.mempool, "some transactions stay unconfirmed at the end"


async def test_the_full_story_shows_everything_that_can_happen(tmp_path: Path) -> None:
    story = full_story(3, START)
    with stage(story, tmp_path) as (chain, player):
        await perform(chain, player, story)
        statuses = {fate.status for fate in project_outcomes(player.book, chain).values()}
        left = [entry for entry in player.book.left.values() if chain.height_of(entry.tx.txid)]
        exits = set(itertools.chain.from_iterable(entry.exits for entry in left))
    assert statuses == {"announced", "committed", "confirmed", "rejected", "event_missing"}
    assert exits == set(Exit)
    assert player.book.freed


async def test_the_totals_of_the_oracle_add_up(tmp_path: Path) -> None:
    story = full_story(5, START)
    with stage(story, tmp_path) as (chain, player):
        await perform(chain, player, story)
        total = summary(player.book, chain)
    angor = total["angor"]
    assert isinstance(angor, dict)
    away = angor["returned_sats"] + angor["claimed_sats"] + angor["locked_sats"]
    assert angor["raised_sats"] == away
    assert angor["net_sats"] == angor["locked_sats"] + angor["claimed_sats"]
    assert angor["in_penalty_sats"] > 0
    assert angor["penalty_released_sats"] > 0
    assert angor["unconfirmed_sats"] > 0


async def test_a_seed_makes_the_same_chain_twice(tmp_path: Path) -> None:
    tips = []
    for name in ("first", "second"):
        story = small_story(11, START)
        with stage(story, tmp_path / name) as (chain, player):
            await perform(chain, player, story)
            tips.append((chain.tip_hash, summary(player.book, chain)))
    assert tips[0] == tips[1]


async def test_the_reorganisation_loses_moves_and_reorders(tmp_path: Path) -> None:
    story = full_story(2, START)
    with stage(story, tmp_path) as (chain, player):
        await perform(chain, player, story)
        order = [
            chain.height_of(player.book.tx(label).txid) or 0
            for label in ("glacier founding", "glacier thief founding", "harbour moe")
        ]
        lost = chain.height_of(player.book.tx("harbour lea").txid)
        fates = project_outcomes(player.book, chain)
        glacier = player.book.paid["glacier founding"].meaning
    assert lost is None
    assert order[0] < order[1] == order[2]
    assert isinstance(glacier, Founds)
    assert fates[glacier.identifier].event_id == glacier.event_id


async def test_the_oracle_knows_a_small_story_by_hand(tmp_path: Path) -> None:
    script = Storyboard(1, START, 40)
    founder = founder_of(script, "byhand")
    plan = invest_plan(script, founder, Calendar(1, (("25", 5), ("75", 6)), expiry=30))
    project = ProjectScript(script, founder, plan)
    project.announce(1)
    project.found(2)
    ann = project.invest(3, "ann", Intent(1_000_000))
    ben = project.invest(3, "ben", Intent(2_000_000))
    project.claim(stages(ann, 0))
    project.penalise(4, stages(ben, 1))
    project.invest(39, "cem", Intent(500_000))
    with stage(script.finish(), tmp_path) as (chain, player):
        await perform(chain, player, script.finish())
        total = summary(player.book, chain)
    assert total["projects"] == {
        "announced": 0,
        "committed": 0,
        "confirmed": 1,
        "rejected": 0,
        "event_missing": 0,
    }
    assert total["totals"] == {
        "raised_sats": 2_970_000,
        "returned_sats": 1_485_000,
        "net_sats": 1_485_000,
        "unconfirmed_sats": 495_000,
        "contributions": 2,
        "contributors": 2,
        "average_contribution_sats": 1_485_000,
        "median_contribution_sats": 1_485_000,
    }
    assert total["angor"] == {
        "raised_sats": 2_970_000,
        "returned_sats": 1_485_000,
        "net_sats": 1_485_000,
        "locked_sats": 1_237_500,
        "claimed_sats": 247_500,
        "unknown_sats": 0,
        "in_penalty_sats": 1_485_000,
        "penalty_released_sats": 0,
        "unconfirmed_sats": 495_000,
        "investments": 2,
        "investors": 2,
        "rejected_investments": 0,
    }


def test_every_event_of_a_story_is_signed() -> None:
    events = [step.event for step in full_story(4, START).steps if isinstance(step, Publish)]
    assert len(events) > 40
    assert all(is_authentic(event_from_json(event)) for event in events)


def test_a_story_of_today_ends_in_the_past() -> None:
    now = 1_795_000_000
    story = full_story(0, start_before(now))
    assert now - 3 * 86400 < story.start_at + 120 * SPACING <= now

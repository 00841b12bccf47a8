"""What the actors meant and what the rules see are two independent tellings of one story."""

import asyncio
from pathlib import Path

import pytest

from raised.domain.angor.founding import founding_of
from raised.domain.angor.investment import Investment, RejectedInvestment, recognise
from raised.domain.angor.network import network_named
from raised.domain.angor.spend import classify
from raised.domain.angor.terms import Announcement, Terms, check_announcement
from raised.domain.event import event_from_json
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.wallet import Wallet, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.story.journal import Journal
from raised_simnet.story.oracle import project_outcomes
from raised_simnet.story.player import Player, chain_start
from raised_simnet.story.steps import Founds, Invests, Mimics
from raised_simnet.story.stories import full_story

START = 1768435200  # 2026-01-15
NETWORK = network_named("regtest")

REASONS = {
    "harbour own taproot outputs": "not_stage_scripts",
    "harbour swapped stages": "not_stage_scripts",
    "harbour missing stage": "missing_stage",
    "harbour burned outputs": "burned_outputs",
    "harbour no such key": "bad_investor_key",
    "harbour fee elsewhere": "wrong_fee_output",
    "harbour mark too late": "no_op_return",
    "harbour three bytes more": "bad_op_return",
    "harbour pattern in an Invest project": "bad_dynamic_info",
    "harbour founding of another": "bad_op_return",
    "harbour old founding of another": "missing_stage",
    "meadow unknown pattern": "bad_dynamic_info",
    "meadow no pattern": "bad_dynamic_info",
}
FLAGS = {
    "harbour own split": {"amount_split"},
    "harbour no fee": {"fee_amount"},
    "harbour on top": set(),
    "harbour dusty": {"below_dust"},
    "harbour spend all": {"spend_all"},
    "harbour taproot": set(),
}


@pytest.fixture(scope="module", params=[0, 4])
def book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return asyncio.run(_played(request.param, tmp_path_factory.mktemp("chain")))


async def _played(seed: int, directory: Path) -> Journal:
    story = full_story(seed, START)
    chain = RegtestChain(directory, chain_start(story))
    try:
        miner = Wallet(chain, "miner")
        fund(chain, miner)
        player = Player(chain, story, _nobody)
        player.prepare(miner)
        for step in story.steps:
            await player.perform(step)
        assert project_outcomes(player.book, chain)
        return player.book
    finally:
        chain.close()


async def _nobody(event: Event, relays: tuple[int, ...] | None) -> None:
    """Nobody listens."""


def _terms(book: Journal) -> dict[str, Terms]:
    checked = [
        check_announcement(event_from_json(step.event), NETWORK)
        for step in book.published
        if step.identifier
    ]
    return {a.event.id: a.terms for a in checked if isinstance(a, Announcement)}


def test_the_rules_accept_the_announcements_that_are_sound(book: Journal) -> None:
    for step in book.published:
        if step.identifier:
            checked = check_announcement(event_from_json(step.event), NETWORK)
            assert isinstance(checked, Announcement) == step.sound


def test_the_rules_find_the_foundings(book: Journal) -> None:
    for label, paid in book.paid.items():
        founding = founding_of(paid.tx, NETWORK)
        if isinstance(paid.meaning, Founds):
            assert founding is not None, label
            named = (founding.project_id, founding.event_id)
            assert named == (paid.meaning.identifier, paid.meaning.event_id), label
        else:
            assert founding is None, label


def test_the_rules_recognise_the_investments_and_nothing_else(book: Journal) -> None:
    by_event = _terms(book)
    reasons: dict[str, str] = {}
    for label, paid in book.paid.items():
        match paid.meaning:
            case Invests(_, event_id, investor_key, placement) if event_id in by_event:
                seen = recognise(by_event[event_id], paid.tx)
                assert isinstance(seen, Investment), (label, seen)
                assert seen.investor_key == investor_key
                amounts = [(s.value_sats, s.release_at, s.expiry_at) for s in seen.stages]
                assert amounts == [(s.value, s.release_at, s.expiry_at) for s in placement.stages]
                assert set(seen.flags) == FLAGS.get(label, set()), label
            case Mimics(identifier):
                (terms,) = [t for t in by_event.values() if t.project_id == identifier]
                rejected = recognise(terms, paid.tx)
                assert isinstance(rejected, RejectedInvestment), label
                reasons[label] = rejected.reason.value
    assert reasons == REASONS


def test_the_rules_name_every_exit(book: Journal) -> None:
    by_event = _terms(book)
    for label, left in book.left.items():
        for vin, (ref, kind) in enumerate(zip(left.coins, left.exits, strict=True)):
            paid, meaning = book.invested(ref.label)
            if meaning.event_id not in by_event:
                continue
            investment = recognise(by_event[meaning.event_id], paid)
            assert isinstance(investment, Investment)
            seen = classify(investment, investment.stages[ref.index], left.tx, vin)
            assert seen.kind.value == kind.value, (label, vin)


def test_investments_by_other_terms_do_not_count(book: Journal) -> None:
    """Terms of rivals and drafts share the address; the scripts tell them apart."""
    by_event = _terms(book)
    for label, paid in book.paid.items():
        if not isinstance(paid.meaning, Invests):
            continue
        for event_id, terms in by_event.items():
            if terms.project_id == paid.meaning.identifier and event_id != paid.meaning.event_id:
                assert isinstance(recognise(terms, paid.tx), RejectedInvestment), label

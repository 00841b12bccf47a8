"""The dishonest and the unlucky: look-alikes, thieves of founder keys, bad and missing events."""

from dataclasses import replace
from typing import Final

from raised.domain.bitcoin.script import p2tr
from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.announcing import PROJECT, project_event, signed
from raised_simnet.actors.identifiers import identifier_of
from raised_simnet.actors.op_returns import (
    DynamicChoice,
    founding_mark,
    investor_mark,
    legacy_founding_mark,
    op_return,
)
from raised_simnet.actors.project_plan import PlannedStage
from raised_simnet.story.honest_projects import Calendar, any_amount, invest_plan
from raised_simnet.story.project_script import Founder, Intent, ProjectScript, founder_of, stages
from raised_simnet.story.steps import Publish
from raised_simnet.story.storyboard import Storyboard

_NO_POINT: Final = b"\x02" + b"\xff" * 32
_GROSS: Final = 5_000_000


def look_alikes(storyboard: Storyboard, victim: ProjectScript) -> None:
    """Transactions that pay the project's address and look like investments in it."""
    placement = victim.invests("mallory", Intent(_GROSS)).placement
    fee, mark, *locked = placement.outputs
    key = victim.investor("mallory").public
    own = [TxOut(90_000_000 // 3, p2tr(storyboard.key(f"mallory {n}").xonly)) for n in range(3)]
    dynamic = TxOut(0, investor_mark(key, None, DynamicChoice(storyboard.midnight(20), 0)))
    burned = [TxOut(output.value, p2tr(bytes(32))) for output in locked]
    elsewhere = TxOut(fee.value, storyboard.key("mallory").address_script)
    fakes = {
        "own taproot outputs": (fee, mark, *own),
        "swapped stages": (fee, mark, *reversed(locked)),
        "missing stage": (fee, mark, *locked[:-1]),
        "burned outputs": (fee, mark, *burned),
        "no such key": (fee, TxOut(0, op_return(_NO_POINT)), *locked),
        "fee elsewhere": (elsewhere, mark, *own, fee),
        "mark too late": (fee, *own, mark),
        "three bytes more": (fee, TxOut(0, op_return(key, b"abc")), *locked),
        "pattern in an Invest project": (fee, dynamic, *own),
        "founding of another": (fee, TxOut(0, founding_mark(key, victim.event["id"]))),
        "old founding of another": (fee, TxOut(0, legacy_founding_mark(key, victim.event["id"]))),
    }
    for turn, (what, outputs) in enumerate(fakes.items(), start=14):
        victim.mimic(turn, what, outputs)
    victim.pay(15, "donation", (TxOut(70_000, victim.plan.address_script),))
    victim.pay(16, "memo", (fee, TxOut(0, op_return(b"good luck"))))
    victim.found(17)
    _fake_recovery(storyboard, victim)


def _fake_recovery(storyboard: Storyboard, victim: ProjectScript) -> None:
    """Stage scripts with the attacker's own keys in them, spent like a recovery."""
    thief = founder_of(storyboard, "pretender")
    founder = Founder(f"{victim.name} pretender", thief.claim, thief.recovery, thief.nostr)
    plan = replace(
        victim.plan,
        founder_key=thief.claim.public,
        recovery_key=thief.recovery.public,
        claimed_identifier=victim.plan.identifier,
    )
    project = ProjectScript(storyboard, founder, plan)
    fake = project.invest(24, "self", Intent(_GROSS))
    project.penalise(40, stages(fake, 1, 2))
    project.claim(stages(fake, 0))


def wrong_patterns(storyboard: Storyboard, victim: ProjectScript) -> None:
    """Look-alikes in a Fund project: an unknown pattern, and none at all."""
    key = victim.investor("mallory").public
    fee = TxOut(50_000, victim.plan.address_script)
    own = [TxOut(10_000_000, p2tr(storyboard.key(f"mallory {n}").xonly)) for n in range(3)]
    unknown = investor_mark(key, None, DynamicChoice(storyboard.midnight(15), 9))
    victim.mimic(15, "unknown pattern", (fee, TxOut(0, unknown), *own))
    victim.mimic(16, "no pattern", (fee, TxOut(0, investor_mark(key)), *own))


def founder_key_stolen(storyboard: Storyboard) -> None:
    """A thief founds a project with a copied founder key before its founder does."""
    honest, thief = _rivals(storyboard, "stolen", 18)
    honest.announce(18)
    thief.publish(19, thief.event)
    thief.found(20)
    honest.found(21)
    honest.invest(22, "rik", any_amount(storyboard))
    dupe = thief.invest(23, "sam", any_amount(storyboard))
    thief.release(50, stages(dupe, 0))


def founder_key_race(storyboard: Storyboard) -> tuple[str, str]:
    """The same race, decided by a reorganisation for the founder. Thief's and honest founding."""
    honest, thief = _rivals(storyboard, "glacier", 48)
    honest.announce(48)
    thief.publish(49, thief.event)
    labels = thief.found(55), honest.found(56)
    first = honest.invest(57, "tom", any_amount(storyboard))
    honest.invest(58, "ute", any_amount(storyboard))
    thief.invest(57, "val", any_amount(storyboard))
    honest.claim(stages(first, 0))
    return labels


def founding_lost_in_reorg(storyboard: Storyboard) -> str:
    """A project whose founding is lost in the reorganisation and sent again. That founding."""
    founder = founder_of(storyboard, "ember")
    plan = invest_plan(storyboard, founder, Calendar(50, (("50", 70), ("50", 80)), expiry=108))
    project = ProjectScript(storyboard, founder, plan)
    project.announce(50)
    lost = project.found(56)
    early = project.invest(58, "wes", any_amount(storyboard))
    project.found(64)
    project.invest(66, "xan", any_amount(storyboard))
    project.claim(stages(early, 0))
    return lost


def _rivals(storyboard: Storyboard, name: str, start: int) -> tuple[ProjectScript, ProjectScript]:
    founder, stranger = founder_of(storyboard, name), founder_of(storyboard, f"{name} thief")
    calendar = Calendar(start, (("50", start + 20), ("50", start + 30)), expiry=108)
    plan = invest_plan(storyboard, founder, calendar)
    thief = Founder(stranger.name, founder.claim, stranger.recovery, stranger.nostr)
    forged = replace(plan, recovery_key=thief.recovery.public, nostr_pubkey=thief.nostr.xonly.hex())
    return ProjectScript(storyboard, founder, plan), ProjectScript(storyboard, thief, forged)


def announced_twice(storyboard: Storyboard) -> None:
    """A founder announces twice and founds the second version; one investor read the first."""
    founder = founder_of(storyboard, "twin")
    plan = invest_plan(storyboard, founder, Calendar(5, (("50", 30), ("50", 60)), expiry=90))
    later = tuple(PlannedStage(s.percent, s.release_at + 86400) for s in plan.stages)
    draft = ProjectScript(storyboard, founder, plan)
    project = ProjectScript(
        storyboard, founder, replace(plan, stages=later, start_at=plan.start_at + 60)
    )
    draft.announce(5)
    project.announce(6)
    project.found(7)
    yan = project.invest(8, "yan", any_amount(storyboard))
    draft.invest(9, "zed", any_amount(storyboard))
    project.claim(stages(yan, 0))


def event_published_late(storyboard: Storyboard) -> None:
    """Founded, funded and claimed before any relay has the event."""
    founder = founder_of(storyboard, "comet")
    plan = invest_plan(storyboard, founder, Calendar(12, (("20", 20), ("80", 50)), expiry=90))
    project = ProjectScript(storyboard, founder, plan)
    project.found(13)
    abe, bea = (
        project.invest(14, "abe", any_amount(storyboard)),
        project.invest(15, "bea", any_amount(storyboard)),
    )
    project.claim([*stages(abe, 0), *stages(bea, 0)])
    project.penalise(32, stages(bea, 1))
    project.announce(41)
    project.invest(44, "cal", any_amount(storyboard))


def event_never_published(storyboard: Storyboard) -> None:
    """Founded and funded; its event never comes."""
    founder = founder_of(storyboard, "phantom")
    plan = invest_plan(storyboard, founder, Calendar(24, (("50", 60), ("50", 80)), expiry=100))
    project = ProjectScript(storyboard, founder, plan)
    project.found(25)
    project.invest(26, "dot", any_amount(storyboard))


def unfounded(storyboard: Storyboard) -> None:
    """Announced only, taken back, or about to be founded when the story ends."""
    for name, turn, relays in (("rumour", 7, None), ("echo", 9, (0,))):
        _announced(storyboard, name, turn).announce(turn, relays)
    retracted = _announced(storyboard, "retracted", 4)
    retracted.announce(4)
    retracted.withdraw(30)
    dawn = _announced(storyboard, "dawn", storyboard.turns - 10)
    dawn.announce(storyboard.turns - 10)
    dawn.found(storyboard.turns - 1)


def bad_events(storyboard: Storyboard, victim: ProjectScript) -> None:
    """Announcements that no honest founder writes; the last one names an honest project."""
    stranger = founder_of(storyboard, "stranger")
    forged = _announced(storyboard, "forged", 6)
    event = project_event(stranger.nostr, forged.plan, storyboard.stamp())
    forged.publish(6, event, sound=False)
    forged.found(8, event=event)
    other = identifier_of(storyboard.key("somebody else").public)
    crooked, garbled, abroad = (
        _announced(storyboard, name, turn)
        for turn, name in enumerate(("crooked", "garbled", "abroad"))
    )
    for turn, plain, plan in (
        (10, crooked, replace(crooked.plan, claimed_identifier=other)),
        (11, garbled, replace(garbled.plan, recovery_key=_NO_POINT)),
        (12, abroad, replace(abroad.plan, network_name="Main")),
    ):
        bad = ProjectScript(storyboard, plain.founder, plan)
        bad.publish(turn, bad.event, sound=False)
    fake = project_event(stranger.nostr, victim.plan, storyboard.stamp())
    victim.publish(13, fake, sound=False)
    storyboard.do(
        13, Publish(signed(stranger.nostr, PROJECT, storyboard.stamp(), "not of our kind"))
    )


def _announced(storyboard: Storyboard, name: str, turn: int) -> ProjectScript:
    founder = founder_of(storyboard, name)
    plan = invest_plan(storyboard, founder, Calendar(turn, (("50", 115), ("50", 130)), expiry=150))
    return ProjectScript(storyboard, founder, plan)

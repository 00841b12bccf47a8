"""The dishonest and the unlucky: look-alikes, thieves of founder keys, bad and missing events."""

from dataclasses import replace
from typing import Final

from raised.domain.bitcoin.script import p2tr
from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.announcing import PROJECT, project_event, signed
from raised_simnet.actors.identifiers import identifier_of
from raised_simnet.actors.op_returns import (
    Choice,
    founding_mark,
    investor_mark,
    legacy_founding_mark,
    op_return,
)
from raised_simnet.actors.project_plan import PlannedStage
from raised_simnet.story.honest_projects import Calendar, invest_plan, some
from raised_simnet.story.project_script import Founder, Intent, Troupe, founder_of, stages
from raised_simnet.story.steps import Publish
from raised_simnet.story.storyboard import Script

_NO_POINT: Final = b"\x02" + b"\xff" * 32
_GROSS: Final = 5_000_000


def look_alikes(script: Script, victim: Troupe) -> None:
    """Transactions that pay the project's address and look like investments in it."""
    placement = victim.invests("mallory", Intent(_GROSS)).placement
    fee, mark, *locked = placement.outputs
    key = victim.investor("mallory").public
    own = [TxOut(90_000_000 // 3, p2tr(script.key(f"mallory {n}").xonly)) for n in range(3)]
    dynamic = TxOut(0, investor_mark(key, None, Choice(script.midnight(20), 0)))
    burned = [TxOut(output.value, p2tr(bytes(32))) for output in locked]
    elsewhere = TxOut(fee.value, script.key("mallory").address_script)
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
    _pretend(script, victim)


def _pretend(script: Script, victim: Troupe) -> None:
    """Stage scripts with the attacker's own keys in them, spent like a recovery."""
    thief = founder_of(script, "pretender")
    founder = Founder(f"{victim.name} pretender", thief.claim, thief.recovery, thief.nostr)
    plan = replace(
        victim.plan,
        founder_key=thief.claim.public,
        recovery_key=thief.recovery.public,
        claimed_identifier=victim.plan.identifier,
    )
    troupe = Troupe(script, founder, plan)
    fake = troupe.invest(24, "self", Intent(_GROSS))
    troupe.penalise(40, stages(fake, 1, 2))
    troupe.claim(stages(fake, 0))


def wrong_patterns(script: Script, victim: Troupe) -> None:
    """Look-alikes in a Fund project: an unknown pattern, and none at all."""
    key = victim.investor("mallory").public
    fee = TxOut(50_000, victim.plan.address_script)
    own = [TxOut(10_000_000, p2tr(script.key(f"mallory {n}").xonly)) for n in range(3)]
    unknown = investor_mark(key, None, Choice(script.midnight(15), 9))
    victim.mimic(15, "unknown pattern", (fee, TxOut(0, unknown), *own))
    victim.mimic(16, "no pattern", (fee, TxOut(0, investor_mark(key)), *own))


def stolen(script: Script) -> None:
    """A thief founds a project with a copied founder key before its founder does."""
    honest, thief = _rivals(script, "stolen", 18)
    honest.announce(18)
    thief.publish(19, thief.event)
    thief.found(20)
    honest.found(21)
    honest.invest(22, "rik", some(script))
    dupe = thief.invest(23, "sam", some(script))
    thief.release(50, stages(dupe, 0))


def glacier(script: Script) -> tuple[str, str]:
    """The same race, decided by a reorganisation for the founder. Thief's and honest founding."""
    honest, thief = _rivals(script, "glacier", 48)
    honest.announce(48)
    thief.publish(49, thief.event)
    labels = thief.found(55), honest.found(56)
    first = honest.invest(57, "tom", some(script))
    honest.invest(58, "ute", some(script))
    thief.invest(57, "val", some(script))
    honest.claim(stages(first, 0))
    return labels


def ember(script: Script) -> str:
    """A project whose founding is lost in the reorganisation and sent again. That founding."""
    founder = founder_of(script, "ember")
    plan = invest_plan(script, founder, Calendar(50, (("50", 70), ("50", 80)), expiry=108))
    troupe = Troupe(script, founder, plan)
    troupe.announce(50)
    lost = troupe.found(56)
    early = troupe.invest(58, "wes", some(script))
    troupe.found(64)
    troupe.invest(66, "xan", some(script))
    troupe.claim(stages(early, 0))
    return lost


def _rivals(script: Script, name: str, start: int) -> tuple[Troupe, Troupe]:
    founder, stranger = founder_of(script, name), founder_of(script, f"{name} thief")
    calendar = Calendar(start, (("50", start + 20), ("50", start + 30)), expiry=108)
    plan = invest_plan(script, founder, calendar)
    thief = Founder(stranger.name, founder.claim, stranger.recovery, stranger.nostr)
    forged = replace(plan, recovery_key=thief.recovery.public, nostr_pubkey=thief.nostr.xonly.hex())
    return Troupe(script, founder, plan), Troupe(script, thief, forged)


def twin(script: Script) -> None:
    """A founder announces twice and founds the second version; one investor read the first."""
    founder = founder_of(script, "twin")
    plan = invest_plan(script, founder, Calendar(5, (("50", 30), ("50", 60)), expiry=90))
    later = tuple(PlannedStage(s.percent, s.release_at + 86400) for s in plan.stages)
    draft = Troupe(script, founder, plan)
    troupe = Troupe(script, founder, replace(plan, stages=later, start_at=plan.start_at + 60))
    draft.announce(5)
    troupe.announce(6)
    troupe.found(7)
    yan = troupe.invest(8, "yan", some(script))
    draft.invest(9, "zed", some(script))
    troupe.claim(stages(yan, 0))


def comet(script: Script) -> None:
    """Founded, funded and claimed before any relay has the event."""
    founder = founder_of(script, "comet")
    plan = invest_plan(script, founder, Calendar(12, (("20", 20), ("80", 50)), expiry=90))
    troupe = Troupe(script, founder, plan)
    troupe.found(13)
    abe, bea = troupe.invest(14, "abe", some(script)), troupe.invest(15, "bea", some(script))
    troupe.claim([*stages(abe, 0), *stages(bea, 0)])
    troupe.penalise(32, stages(bea, 1))
    troupe.announce(41)
    troupe.invest(44, "cal", some(script))


def phantom(script: Script) -> None:
    """Founded and funded; its event never comes."""
    founder = founder_of(script, "phantom")
    plan = invest_plan(script, founder, Calendar(24, (("50", 60), ("50", 80)), expiry=100))
    troupe = Troupe(script, founder, plan)
    troupe.found(25)
    troupe.invest(26, "dot", some(script))


def unfounded(script: Script) -> None:
    """Announced only, taken back, or about to be founded when the story ends."""
    for name, turn, relays in (("rumour", 7, None), ("echo", 9, (0,))):
        _announced(script, name, turn).announce(turn, relays)
    retracted = _announced(script, "retracted", 4)
    retracted.announce(4)
    retracted.withdraw(30)
    dawn = _announced(script, "dawn", script.turns - 10)
    dawn.announce(script.turns - 10)
    dawn.found(script.turns - 1)


def bad_events(script: Script, victim: Troupe) -> None:
    """Announcements that no honest founder writes; the last one names an honest project."""
    stranger = founder_of(script, "stranger")
    forged = _announced(script, "forged", 6)
    event = project_event(stranger.nostr, forged.plan, script.stamp())
    forged.publish(6, event, sound=False)
    forged.found(8, event=event)
    other = identifier_of(script.key("somebody else").public)
    crooked, garbled, abroad = (
        _announced(script, name, turn) for turn, name in enumerate(("crooked", "garbled", "abroad"))
    )
    for turn, plain, plan in (
        (10, crooked, replace(crooked.plan, claimed_identifier=other)),
        (11, garbled, replace(garbled.plan, recovery_key=_NO_POINT)),
        (12, abroad, replace(abroad.plan, network_name="Main")),
    ):
        bad = Troupe(script, plain.founder, plan)
        bad.publish(turn, bad.event, sound=False)
    fake = project_event(stranger.nostr, victim.plan, script.stamp())
    victim.publish(13, fake, sound=False)
    script.do(13, Publish(signed(stranger.nostr, PROJECT, script.stamp(), "not of our kind")))


def _announced(script: Script, name: str, turn: int) -> Troupe:
    founder = founder_of(script, name)
    plan = invest_plan(script, founder, Calendar(turn, (("50", 115), ("50", 130)), expiry=150))
    return Troupe(script, founder, plan)

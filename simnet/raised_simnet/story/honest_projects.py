"""Honest projects of type Invest: every way in and every way out."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from raised.domain.bitcoin.script import p2tr, p2wsh
from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.amount_split import split_gross
from raised_simnet.actors.funding_txs import Habit
from raised_simnet.actors.project_plan import Plan, PlannedStage, ProjectType
from raised_simnet.actors.stage_scripts import penalty_script, secret_hash_of
from raised_simnet.story.project_script import (
    Founder,
    Intent,
    Troupe,
    founder_of,
    seeder_secret,
    stages,
)
from raised_simnet.story.steps import FOR_EVER, Address, Penalty, StageRef
from raised_simnet.story.storyboard import Script

COIN: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a project of type Invest begins, pays and ends, in turns."""

    start: int
    stages: tuple[tuple[str, int], ...]
    expiry: int
    penalty_days: int = 10


def invest_plan(script: Script, founder: Founder, calendar: Calendar) -> Plan:
    """A plan of type Invest."""
    return Plan(
        kind=ProjectType.INVEST,
        founder_key=founder.claim.public,
        recovery_key=founder.recovery.public,
        nostr_pubkey=founder.nostr.xonly.hex(),
        start_at=script.time(calendar.start),
        end_at=script.time(calendar.stages[0][1]) - 3600,
        expiry_at=script.time(calendar.expiry),
        penalty_days=calendar.penalty_days,
        target=script.random.randrange(20, 60) * 1_000_000,
        stages=tuple(PlannedStage(Decimal(p), script.time(turn)) for p, turn in calendar.stages),
    )


def some(script: Script, low: int = 2_000_000, high: int = 9_000_000) -> Intent:
    """To invest some amount."""
    return Intent(script.random.randrange(low, high))


def harbour(script: Script) -> Troupe:
    """An Invest project with everything that can happen to one."""
    founder = founder_of(script, "harbour")
    calendar = Calendar(1, (("10", 20), ("30", 45), ("60", 70)), expiry=95)
    troupe = Troupe(script, founder, invest_plan(script, founder, calendar))
    troupe.announce(1)
    zoe = troupe.invest(2, "zoe", some(script))
    troupe.found(3)
    ann, ben, cem, dia, eli = (
        troupe.invest(turn, who, some(script))
        for turn, who in enumerate(("ann", "ben", "cem", "dia", "eli"), start=4)
    )
    more = troupe.invest(9, "ann", some(script))
    troupe.free(28, troupe.penalise(18, stages(dia, 0, 1, 2)), (0, 1, 2))
    first = troupe.claim([s for who in (ann, more, ben, cem, zoe) for s in stages(who, 0)])
    troupe.invest(30, "founder", Intent(300_000), money=first)
    late = troupe.invest(31, "gil", some(script))
    troupe.claim(stages(late, 0), turn=31)
    out = troupe.penalise(36, stages(ben, 2, 1))
    troupe.free(45, out, (0,))
    troupe.free(50, out, (1,))
    troupe.recover(37, {stages(cem, 1)[0]: Penalty(10), stages(cem, 2)[0]: _home(troupe, "cem")})
    odd = p2wsh(penalty_script(troupe.investor("zoe").public, 1))
    troupe.recover(38, {stages(zoe, 2)[0]: Address(odd)})
    troupe.claim([*stages(ann, 1), *stages(more, 1), *stages(zoe, 1)])
    troupe.claim(stages(more, 2))
    troupe.end(104, stages(eli, 0, 1, 2))
    _hesitate(script, troupe)
    troupe.claim(stages(ann, 2), turn=script.turns - 1)
    return troupe


def _hesitate(script: Script, troupe: Troupe) -> None:
    """Payments that are replaced before they confirm, the last of them never mined."""
    hana = troupe.invest(10, "hana", replace(some(script), wait=5))
    hana = troupe.replace(12, hana, some(script))
    troupe.claim(stages(hana, 0))
    ivo = troupe.invest(10, "ivo", replace(some(script), wait=5))
    troupe.replace(13, ivo, None)
    end = script.turns - 1
    ned = troupe.invest(end - 4, "ned", replace(some(script), wait=FOR_EVER))
    troupe.replace(end - 1, ned, replace(some(script), wait=FOR_EVER))
    troupe.invest(end, "nia", some(script))


def odd_clients(script: Script, troupe: Troupe) -> None:
    """Investors whose wallets do it differently and whose money is bound all the same."""
    gross = 4_000_000
    percents = [stage.percent for stage in troupe.plan.stages]
    on_top = Habit(values=split_gross(gross, percents))
    troupe.invest(11, "on top", Intent(gross, habit=on_top))
    troupe.invest(11, "own split", Intent(gross, habit=Habit(values=(3_000_000, 500_000, 460_000))))
    troupe.invest(12, "no fee", Intent(gross, habit=Habit(fee=0)))
    troupe.invest(12, "dusty", Intent(2_000))
    tail = p2tr(script.key("taproot change").xonly)
    troupe.invest(13, "taproot", Intent(gross, extra=(TxOut(2_500_000, tail),)))
    short = Habit(values=(9_900_000, 29_700_000, 59_400_000 - 800))
    troupe.invest(13, "spend all", Intent(COIN, habit=short, exact=True))


def beacon(script: Script) -> Troupe:
    """An Invest project with seeders: two of three secrets free the investors."""
    founder = founder_of(script, "beacon")
    calendar = Calendar(3, (("50", 40), ("50", 75)), expiry=98, penalty_days=15)
    hashes = tuple(secret_hash_of(seeder_secret(script, "beacon", n)) for n in range(3))
    plan = replace(invest_plan(script, founder, calendar), secrets_needed=2, secret_hashes=hashes)
    troupe = Troupe(script, founder, plan)
    troupe.announce(3)
    troupe.found(3)
    first, second, _ = (
        troupe.invest(4 + n, f"seeder {n}", replace(some(script), seeder=n)) for n in range(3)
    )
    jo, kim, max_ = (troupe.invest(8, who, some(script)) for who in ("jo", "kim", "max"))
    lou = troupe.invest(9, "lou", replace(some(script), habit=Habit(seeder_leaves=False)))
    out = troupe.penalise(30, stages(first, 0, 1), seeder=0)
    troupe.free(script.ripe_after(30, 15), out, (1, 0))
    home = _home(troupe, "seeder 1")
    troupe.recover(34, dict.fromkeys(stages(second, 0, 1), home), seeder=1)
    troupe.leave_by_secrets(35, stages(jo, 0, 1), (0, 1))
    troupe.claim([*stages(kim, 0), *stages(lou, 0), *stages(max_, 0)])
    troupe.leave_by_secrets(55, stages(kim, 1), (2, 0))
    troupe.claim(stages(lou, 1))
    troupe.end(106, stages(max_, 1))
    return troupe


def orchard(script: Script) -> Troupe:
    """An Invest project that stays unfunded: its founder lets everybody go."""
    founder = founder_of(script, "orchard")
    calendar = Calendar(10, (("40", 60), ("60", 80)), expiry=110)
    troupe = Troupe(script, founder, invest_plan(script, founder, calendar))
    troupe.announce(10, relays=(1,))
    troupe.found(11)
    gone = troupe.invest(12, "una", some(script, 400_000, 900_000))
    rest = [troupe.invest(13, who, some(script, 400_000, 900_000)) for who in ("vic", "wim", "xia")]
    out = troupe.penalise(20, stages(gone, 0, 1))
    for turn, label in enumerate(rest, start=32):
        troupe.release(turn, stages(label, 0, 1))
    troupe.free(70, out, (0,))
    return troupe


def crowd(script: Script, number: int) -> Troupe:
    """An ordinary project whose particulars are left to chance."""
    dice = script.random
    founder = founder_of(script, f"crowd {number}")
    start = dice.randrange(5, 30)
    shares = dice.choice((("33.33", "33.33", "33.34"), ("25", "75"), ("12.5", "37.5", "50.0")))
    dates = sorted(dice.sample(range(start + 15, 85, 4), len(shares)))
    calendar = Calendar(start, tuple(zip(shares, dates, strict=True)), 100, dice.randrange(10, 20))
    troupe = Troupe(script, founder, invest_plan(script, founder, calendar))
    troupe.announce(start)
    troupe.found(start + 1)
    for guest in range(dice.randrange(4, 8)):
        label = troupe.invest(start + 2 + guest, f"guest {guest}", some(script))
        leaves_after = dice.randrange(len(shares) + 1)
        for index in range(leaves_after):
            troupe.claim(stages(label, index))
        rest = stages(label, *range(leaves_after, len(shares)))
        if rest and dice.random() < 0.5:
            _leave_somehow(script, troupe, rest)
    return troupe


def _leave_somehow(script: Script, troupe: Troupe, rest: tuple[StageRef, ...]) -> None:
    """Leave with these stages: into the penalty and perhaps out of it, released, or at the end."""
    turn = script.random.randrange(95, 100)
    match script.random.randrange(3):
        case 0:
            troupe.penalise(turn, rest)
        case 1:
            troupe.release(turn, rest)
        case _:
            troupe.end(script.ripe(troupe.plan.expiry_at), rest)


def _home(troupe: Troupe, who: str) -> Address:
    return Address(troupe.investor(who).address_script)

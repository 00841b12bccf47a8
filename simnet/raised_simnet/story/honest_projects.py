"""Honest projects of type Invest: every way in and every way out."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from raised.domain.bitcoin.script import p2tr, p2wsh
from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.amount_split import split_gross
from raised_simnet.actors.funding_txs import ClientQuirks
from raised_simnet.actors.project_plan import PlannedStage, ProjectPlan, ProjectType
from raised_simnet.actors.stage_scripts import penalty_script, secret_hash_of
from raised_simnet.story.project_script import (
    Founder,
    Intent,
    ProjectScript,
    founder_of,
    seeder_secret,
    stages,
)
from raised_simnet.story.steps import FOR_EVER, Address, Penalty, StageRef
from raised_simnet.story.storyboard import Storyboard

COIN: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a project of type Invest begins, pays and ends, in turns."""

    start: int
    stages: tuple[tuple[str, int], ...]
    expiry: int
    penalty_days: int = 10


def invest_plan(storyboard: Storyboard, founder: Founder, calendar: Calendar) -> ProjectPlan:
    """A plan of type Invest."""
    return ProjectPlan(
        kind=ProjectType.INVEST,
        founder_key=founder.claim.public,
        recovery_key=founder.recovery.public,
        nostr_pubkey=founder.nostr.xonly.hex(),
        start_at=storyboard.time(calendar.start),
        end_at=storyboard.time(calendar.stages[0][1]) - 3600,
        expiry_at=storyboard.time(calendar.expiry),
        penalty_days=calendar.penalty_days,
        target=storyboard.random.randrange(20, 60) * 1_000_000,
        stages=tuple(
            PlannedStage(Decimal(p), storyboard.time(turn)) for p, turn in calendar.stages
        ),
    )


def any_amount(storyboard: Storyboard, low: int = 2_000_000, high: int = 9_000_000) -> Intent:
    """To invest some amount."""
    return Intent(storyboard.random.randrange(low, high))


def project_with_every_spend(storyboard: Storyboard) -> ProjectScript:
    """An Invest project with everything that can happen to one."""
    founder = founder_of(storyboard, "harbour")
    calendar = Calendar(1, (("10", 20), ("30", 45), ("60", 70)), expiry=95)
    project = ProjectScript(storyboard, founder, invest_plan(storyboard, founder, calendar))
    project.announce(1)
    zoe = project.invest(2, "zoe", any_amount(storyboard))
    project.found(3)
    ann, ben, cem, dia, eli = (
        project.invest(turn, who, any_amount(storyboard))
        for turn, who in enumerate(("ann", "ben", "cem", "dia", "eli"), start=4)
    )
    more = project.invest(9, "ann", any_amount(storyboard))
    project.free(28, project.penalise(18, stages(dia, 0, 1, 2)), (0, 1, 2))
    first = project.claim([s for who in (ann, more, ben, cem, zoe) for s in stages(who, 0)])
    project.invest(30, "founder", Intent(300_000), money=first)
    late = project.invest(31, "gil", any_amount(storyboard))
    project.claim(stages(late, 0), turn=31)
    out = project.penalise(36, stages(ben, 2, 1))
    project.free(45, out, (0,))
    project.free(50, out, (1,))
    project.recover(
        37, {stages(cem, 1)[0]: Penalty(10), stages(cem, 2)[0]: _own_address(project, "cem")}
    )
    odd = p2wsh(penalty_script(project.investor("zoe").public, 1))
    project.recover(38, {stages(zoe, 2)[0]: Address(odd)})
    project.claim([*stages(ann, 1), *stages(more, 1), *stages(zoe, 1)])
    project.claim(stages(more, 2))
    project.end(104, stages(eli, 0, 1, 2))
    _replaced_payments(storyboard, project)
    project.claim(stages(ann, 2), turn=storyboard.turns - 1)
    return project


def _replaced_payments(storyboard: Storyboard, project: ProjectScript) -> None:
    """Payments that are replaced before they confirm, the last of them never mined."""
    hana = project.invest(10, "hana", replace(any_amount(storyboard), wait=5))
    hana = project.replace(12, hana, any_amount(storyboard))
    project.claim(stages(hana, 0))
    ivo = project.invest(10, "ivo", replace(any_amount(storyboard), wait=5))
    project.replace(13, ivo, None)
    end = storyboard.turns - 1
    ned = project.invest(end - 4, "ned", replace(any_amount(storyboard), wait=FOR_EVER))
    project.replace(end - 1, ned, replace(any_amount(storyboard), wait=FOR_EVER))
    project.invest(end, "nia", any_amount(storyboard))


def odd_clients(storyboard: Storyboard, project: ProjectScript) -> None:
    """Investors whose wallets do it differently and whose money is bound all the same."""
    gross = 4_000_000
    percents = [stage.percent for stage in project.plan.stages]
    on_top = ClientQuirks(values=split_gross(gross, percents))
    project.invest(11, "on top", Intent(gross, habit=on_top))
    project.invest(
        11, "own split", Intent(gross, habit=ClientQuirks(values=(3_000_000, 500_000, 460_000)))
    )
    project.invest(12, "no fee", Intent(gross, habit=ClientQuirks(fee=0)))
    project.invest(12, "dusty", Intent(2_000))
    tail = p2tr(storyboard.key("taproot change").xonly)
    project.invest(13, "taproot", Intent(gross, extra=(TxOut(2_500_000, tail),)))
    short = ClientQuirks(values=(9_900_000, 29_700_000, 59_400_000 - 800))
    project.invest(13, "spend all", Intent(COIN, habit=short, exact=True))


def project_with_seeders(storyboard: Storyboard) -> ProjectScript:
    """An Invest project with seeders: two of three secrets free the investors."""
    founder = founder_of(storyboard, "beacon")
    calendar = Calendar(3, (("50", 40), ("50", 75)), expiry=98, penalty_days=15)
    hashes = tuple(secret_hash_of(seeder_secret(storyboard, "beacon", n)) for n in range(3))
    plan = replace(
        invest_plan(storyboard, founder, calendar), secrets_needed=2, secret_hashes=hashes
    )
    project = ProjectScript(storyboard, founder, plan)
    project.announce(3)
    project.found(3)
    first, second, _ = (
        project.invest(4 + n, f"seeder {n}", replace(any_amount(storyboard), seeder=n))
        for n in range(3)
    )
    jo, kim, max_ = (project.invest(8, who, any_amount(storyboard)) for who in ("jo", "kim", "max"))
    lou = project.invest(
        9, "lou", replace(any_amount(storyboard), habit=ClientQuirks(seeder_leaves=False))
    )
    out = project.penalise(30, stages(first, 0, 1), seeder=0)
    project.free(storyboard.ripe_after(30, 15), out, (1, 0))
    home = _own_address(project, "seeder 1")
    project.recover(34, dict.fromkeys(stages(second, 0, 1), home), seeder=1)
    project.leave_by_secrets(35, stages(jo, 0, 1), (0, 1))
    project.claim([*stages(kim, 0), *stages(lou, 0), *stages(max_, 0)])
    project.leave_by_secrets(55, stages(kim, 1), (2, 0))
    project.claim(stages(lou, 1))
    project.end(106, stages(max_, 1))
    return project


def unfunded_project(storyboard: Storyboard) -> ProjectScript:
    """An Invest project that stays unfunded: its founder lets everybody go."""
    founder = founder_of(storyboard, "orchard")
    calendar = Calendar(10, (("40", 60), ("60", 80)), expiry=110)
    project = ProjectScript(storyboard, founder, invest_plan(storyboard, founder, calendar))
    project.announce(10, relays=(1,))
    project.found(11)
    gone = project.invest(12, "una", any_amount(storyboard, 400_000, 900_000))
    rest = [
        project.invest(13, who, any_amount(storyboard, 400_000, 900_000))
        for who in ("vic", "wim", "xia")
    ]
    out = project.penalise(20, stages(gone, 0, 1))
    for turn, label in enumerate(rest, start=32):
        project.release(turn, stages(label, 0, 1))
    project.free(70, out, (0,))
    return project


def random_project(storyboard: Storyboard, number: int) -> ProjectScript:
    """An ordinary project whose particulars are left to chance."""
    dice = storyboard.random
    founder = founder_of(storyboard, f"crowd {number}")
    start = dice.randrange(5, 30)
    shares = dice.choice((("33.33", "33.33", "33.34"), ("25", "75"), ("12.5", "37.5", "50.0")))
    dates = sorted(dice.sample(range(start + 15, 85, 4), len(shares)))
    calendar = Calendar(start, tuple(zip(shares, dates, strict=True)), 100, dice.randrange(10, 20))
    project = ProjectScript(storyboard, founder, invest_plan(storyboard, founder, calendar))
    project.announce(start)
    project.found(start + 1)
    for guest in range(dice.randrange(4, 8)):
        label = project.invest(start + 2 + guest, f"guest {guest}", any_amount(storyboard))
        leaves_after = dice.randrange(len(shares) + 1)
        for index in range(leaves_after):
            project.claim(stages(label, index))
        rest = stages(label, *range(leaves_after, len(shares)))
        if rest and dice.random() < 0.5:
            _random_exit(storyboard, project, rest)
    return project


def _random_exit(
    storyboard: Storyboard, project: ProjectScript, rest: tuple[StageRef, ...]
) -> None:
    """Leave with these stages: into the penalty and perhaps out of it, released, or at the end."""
    turn = storyboard.random.randrange(95, 100)
    match storyboard.random.randrange(3):
        case 0:
            project.penalise(turn, rest)
        case 1:
            project.release(turn, rest)
        case _:
            project.end(storyboard.ripe(project.plan.expiry_at), rest)


def _own_address(project: ProjectScript, who: str) -> Address:
    return Address(project.investor(who).address_script)

"""Honest projects of types Fund and Subscribe: stages by pattern, counted from the investment."""

from dataclasses import replace

from raised_simnet.actors.funding_txs import ClientQuirks
from raised_simnet.actors.op_returns import DynamicChoice
from raised_simnet.actors.project_plan import ProjectPlan, ProjectType
from raised_simnet.actors.release_dates import Frequency, Pattern, PayoutDay
from raised_simnet.actors.stage_scripts import secret_hash_of
from raised_simnet.story.honest_projects import Calendar, invest_plan
from raised_simnet.story.project_script import (
    Founder,
    Intent,
    ProjectScript,
    founder_of,
    seeder_secret,
    stages,
)
from raised_simnet.story.storyboard import Storyboard


def fund_project(storyboard: Storyboard) -> ProjectScript:
    """A Fund project with a threshold, three patterns and a start date with a time of day."""
    founder = founder_of(storyboard, "meadow")
    plan = _fund_plan(storyboard, founder)
    project = ProjectScript(storyboard, founder, plan)
    project.announce(5)
    project.found(6)
    ada = project.invest(7, "ada", Intent(8_000_000, _choice(storyboard, 7, 7)))
    bob = project.invest(8, "bob", Intent(3_000_000, _choice(storyboard, 8, 2)))
    cat = project.invest(9, "cat", Intent(5_000_001, _choice(storyboard, 9, 0)))
    dan = project.invest(
        10, "dan", Intent(6_000_000, replace(_choice(storyboard, 10, 7), stage_count=5))
    )
    untruncated = ClientQuirks(expiry_at=plan.start_at)
    eve = project.invest(
        11, "eve", Intent(1_000_000, _choice(storyboard, 11, 2), habit=untruncated)
    )
    fay = project.invest(12, "fay", Intent(5_000_000, _choice(storyboard, 12, 0)))
    project.end(14, stages(bob, 0, 1, 2, 3))
    project.end(16, stages(eve, 1, 2, 3))
    project.claim(stages(ada, 0))
    out = project.penalise(42, stages(ada, 1, 2))
    project.free(storyboard.ripe_after(42, 12), out, (0, 1))
    project.claim([*stages(dan, 0, 1), *stages(fay, 0)])
    for index in range(3):
        project.claim(stages(cat, index))
    lead = replace(Intent(9_000_000, _choice(storyboard, 13, 7)), seeder=0)
    hob = project.invest(13, "hob", lead)
    project.penalise(43, stages(hob, 1, 2), seeder=0)
    project.leave_by_secrets(65, stages(fay, 1, 2), (0,))
    project.invest(
        storyboard.turns - 1, "gus", Intent(7_000_000, _choice(storyboard, storyboard.turns - 1, 7))
    )
    return project


def _fund_plan(storyboard: Storyboard, founder: Founder) -> ProjectPlan:
    patterns = (
        Pattern(7, "3 x 30 days", Frequency.MONTHLY, 3, PayoutDay.FROM_START),
        Pattern(0, "First of the month", Frequency.MONTHLY, 3, PayoutDay.OF_MONTH, 1),
        Pattern(2, "4 Mondays", Frequency.WEEKLY, 4, PayoutDay.OF_WEEK, 1),
    )
    return replace(
        invest_plan(storyboard, founder, Calendar(5, (("100", 20),), 100, penalty_days=12)),
        kind=ProjectType.FUND,
        start_at=storyboard.time(5) + 10_800,
        end_at=None,
        target=0,
        threshold=5_000_000,
        stages=(),
        patterns=patterns,
        secrets_needed=1,
        secret_hashes=tuple(
            secret_hash_of(seeder_secret(storyboard, "meadow", n)) for n in range(2)
        ),
    )


def subscribe_project(storyboard: Storyboard) -> ProjectScript:
    """A Subscribe project: fixed amounts, many small stages, subscribers who stop at will."""
    founder = founder_of(storyboard, "lantern")
    patterns = (
        Pattern(1, "3 months", Frequency.MONTHLY, 3, PayoutDay.FROM_START, amount=300_000),
        Pattern(5, "12 Mondays", Frequency.WEEKLY, 12, PayoutDay.OF_WEEK, 1, amount=600_000),
    )
    plan = replace(
        invest_plan(storyboard, founder, Calendar(8, (("100", 20),), 100, penalty_days=0)),
        kind=ProjectType.SUBSCRIBE,
        start_at=storyboard.midnight(8),
        end_at=None,
        target=0,
        stages=(),
        patterns=patterns,
    )
    project = ProjectScript(storyboard, founder, plan)
    project.announce(8)
    project.invest(
        9, "fey", Intent(300_000, _choice(storyboard, 9, 1))
    )  # above it in the same block
    project.found(9)
    gus = project.invest(10, "gus", Intent(300_000, _choice(storyboard, 10, 1)))
    hal = project.invest(11, "hal", Intent(600_000, _choice(storyboard, 11, 5)))
    ivy = project.invest(12, "ivy", Intent(300_000, _choice(storyboard, 12, 1)))
    project.claim(stages(hal, 0, 1, 2, 3, 4, 5))
    project.claim(stages(gus, 0))
    project.end(50, stages(gus, 1, 2))
    project.claim(stages(ivy, 0, 1, 2))
    return project


def _choice(storyboard: Storyboard, turn: int, pattern_id: int) -> DynamicChoice:
    return DynamicChoice(storyboard.midnight(turn), pattern_id)

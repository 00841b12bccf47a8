"""Honest projects of types Fund and Subscribe: stages by pattern, counted from the investment."""

from dataclasses import replace

from raised_simnet.actors.funding_txs import Habit
from raised_simnet.actors.op_returns import Choice
from raised_simnet.actors.project_plan import ProjectType
from raised_simnet.actors.release_dates import Frequency, Pattern, PayoutDay
from raised_simnet.actors.stage_scripts import secret_hash_of
from raised_simnet.story.honest_projects import Calendar, invest_plan
from raised_simnet.story.project_script import Intent, Troupe, founder_of, seeder_secret, stages
from raised_simnet.story.storyboard import Script


def meadow(script: Script) -> Troupe:
    """A Fund project with a threshold, three patterns and a start date with a time of day."""
    founder = founder_of(script, "meadow")
    patterns = (
        Pattern(7, "3 x 30 days", Frequency.MONTHLY, 3, PayoutDay.FROM_START),
        Pattern(0, "First of the month", Frequency.MONTHLY, 3, PayoutDay.OF_MONTH, 1),
        Pattern(2, "4 Mondays", Frequency.WEEKLY, 4, PayoutDay.OF_WEEK, 1),
    )
    plan = replace(
        invest_plan(script, founder, Calendar(5, (("100", 20),), 100, penalty_days=12)),
        kind=ProjectType.FUND,
        start_at=script.time(5) + 10_800,
        end_at=None,
        target=0,
        threshold=5_000_000,
        stages=(),
        patterns=patterns,
        secrets_needed=1,
        secret_hashes=tuple(secret_hash_of(seeder_secret(script, "meadow", n)) for n in range(2)),
    )
    troupe = Troupe(script, founder, plan)
    troupe.announce(5)
    troupe.found(6)
    ada = troupe.invest(7, "ada", Intent(8_000_000, _choice(script, 7, 7)))
    bob = troupe.invest(8, "bob", Intent(3_000_000, _choice(script, 8, 2)))
    cat = troupe.invest(9, "cat", Intent(5_000_001, _choice(script, 9, 0)))
    dan = troupe.invest(
        10, "dan", Intent(6_000_000, replace(_choice(script, 10, 7), stage_count=5))
    )
    untruncated = Habit(expiry_at=plan.start_at)
    eve = troupe.invest(11, "eve", Intent(1_000_000, _choice(script, 11, 2), habit=untruncated))
    fay = troupe.invest(12, "fay", Intent(5_000_000, _choice(script, 12, 0)))
    troupe.end(14, stages(bob, 0, 1, 2, 3))
    troupe.end(16, stages(eve, 1, 2, 3))
    troupe.claim(stages(ada, 0))
    out = troupe.penalise(42, stages(ada, 1, 2))
    troupe.free(script.ripe_after(42, 12), out, (0, 1))
    troupe.claim([*stages(dan, 0, 1), *stages(fay, 0)])
    for index in range(3):
        troupe.claim(stages(cat, index))
    lead = replace(Intent(9_000_000, _choice(script, 13, 7)), seeder=0)
    hob = troupe.invest(13, "hob", lead)
    troupe.penalise(43, stages(hob, 1, 2), seeder=0)
    troupe.leave_by_secrets(65, stages(fay, 1, 2), (0,))
    troupe.invest(script.turns - 1, "gus", Intent(7_000_000, _choice(script, script.turns - 1, 7)))
    return troupe


def lantern(script: Script) -> Troupe:
    """A Subscribe project: fixed amounts, many small stages, subscribers who stop at will."""
    founder = founder_of(script, "lantern")
    patterns = (
        Pattern(1, "3 months", Frequency.MONTHLY, 3, PayoutDay.FROM_START, amount=300_000),
        Pattern(5, "12 Mondays", Frequency.WEEKLY, 12, PayoutDay.OF_WEEK, 1, amount=600_000),
    )
    plan = replace(
        invest_plan(script, founder, Calendar(8, (("100", 20),), 100, penalty_days=0)),
        kind=ProjectType.SUBSCRIBE,
        start_at=script.midnight(8),
        end_at=None,
        target=0,
        stages=(),
        patterns=patterns,
    )
    troupe = Troupe(script, founder, plan)
    troupe.announce(8)
    troupe.invest(9, "fey", Intent(300_000, _choice(script, 9, 1)))  # above it in the same block
    troupe.found(9)
    gus = troupe.invest(10, "gus", Intent(300_000, _choice(script, 10, 1)))
    hal = troupe.invest(11, "hal", Intent(600_000, _choice(script, 11, 5)))
    ivy = troupe.invest(12, "ivy", Intent(300_000, _choice(script, 12, 1)))
    troupe.claim(stages(hal, 0, 1, 2, 3, 4, 5))
    troupe.claim(stages(gus, 0))
    troupe.end(50, stages(gus, 1, 2))
    troupe.claim(stages(ivy, 0, 1, 2))
    return troupe


def _choice(script: Script, turn: int, pattern_id: int) -> Choice:
    return Choice(script.midnight(turn), pattern_id)

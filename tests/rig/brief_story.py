"""A brief story for tests about something else: one project from its word to its money, a dozen
blocks, with a theft of its founder key and look-alikes on the way.
"""

from typing import Final

from raised.domain.bitcoin.tx import TxOut
from raised_simnet.story.honest_projects import Calendar, invest_plan, some
from raised_simnet.story.project_script import Intent, Troupe, founder_of, stages
from raised_simnet.story.storyboard import Script, Story

BRIEF_TURNS: Final = 14
_GROSS: Final = 5_000_000
_CLAIM_TURN: Final = 10


def brief_story(seed: int, start_at: int) -> Story:
    """One project, five investments, a claim, a recovery, a look-alike, one that waits."""
    script = Script(seed, start_at, BRIEF_TURNS)
    lane(script, "lane").announce(1)
    return script.finish()


def word(script: Script, name: str) -> Troupe:
    """A project that nothing happens to."""
    founder = founder_of(script, name)
    calendar = Calendar(1, (("40", 2), ("60", 4)), expiry=BRIEF_TURNS + 10)
    return Troupe(script, founder, invest_plan(script, founder, calendar))


def lane(script: Script, name: str) -> Troupe:
    """The project with everything that happens to it but its announcement."""
    troupe = word(script, name)
    troupe.found(2)
    ann, ben, cem = (troupe.invest(3 + n, who, some(script)) for n, who in enumerate("abc"))
    fee, mark, *locked = troupe.invests("mallory", Intent(_GROSS)).placement.outputs
    troupe.mimic(5, "swapped stages", (fee, mark, *reversed(locked)))
    troupe.pay(6, "donation", (TxOut(70_000, troupe.plan.address_script),))
    troupe.penalise(7, stages(ben, 0, 1))
    troupe.claim([*stages(ann, 0), *stages(cem, 0)], turn=_CLAIM_TURN)
    troupe.invest(11, "d", some(script))
    troupe.invest(BRIEF_TURNS - 1, "e", some(script))
    return troupe

"""A brief story for tests about something else: one project from its word to its money, a dozen
blocks, with a theft of its founder key and look-alikes on the way.
"""

from typing import Final

from raised.domain.bitcoin.tx import TxOut
from raised_simnet.story.honest_projects import Calendar, any_amount, invest_plan
from raised_simnet.story.project_script import Intent, ProjectScript, founder_of, stages
from raised_simnet.story.storyboard import Story, Storyboard

BRIEF_TURNS: Final = 14
_GROSS: Final = 5_000_000
_CLAIM_TURN: Final = 10


def brief_story(seed: int, start_at: int) -> Story:
    """One project, five investments, a claim, a recovery, a look-alike, one that waits."""
    storyboard = Storyboard(seed, start_at, BRIEF_TURNS)
    brief_project(storyboard, "lane").announce(1)
    return storyboard.finish()


def project_text(storyboard: Storyboard, name: str) -> ProjectScript:
    """A project that nothing happens to."""
    founder = founder_of(storyboard, name)
    calendar = Calendar(1, (("40", 2), ("60", 4)), expiry=BRIEF_TURNS + 10)
    return ProjectScript(storyboard, founder, invest_plan(storyboard, founder, calendar))


def brief_project(storyboard: Storyboard, name: str) -> ProjectScript:
    """The project with everything that happens to it but its announcement."""
    project = project_text(storyboard, name)
    project.found(2)
    ann, ben, cem = (
        project.invest(3 + n, who, any_amount(storyboard)) for n, who in enumerate("abc")
    )
    fee, mark, *locked = project.invests("mallory", Intent(_GROSS)).placement.outputs
    project.mimic(5, "swapped stages", (fee, mark, *reversed(locked)))
    project.pay(6, "donation", (TxOut(70_000, project.plan.address_script),))
    project.penalise(7, stages(ben, 0, 1))
    project.claim([*stages(ann, 0), *stages(cem, 0)], turn=_CLAIM_TURN)
    project.invest(11, "d", any_amount(storyboard))
    project.invest(BRIEF_TURNS - 1, "e", any_amount(storyboard))
    return project

"""The stories: which projects play, and when the chain changes its mind."""

from typing import Final

from raised_simnet.btcpay.shop_stories import shop_stories
from raised_simnet.story.attacks import (
    announced_twice,
    bad_events,
    event_never_published,
    event_published_late,
    founder_key_race,
    founder_key_stolen,
    founding_lost_in_reorg,
    look_alikes,
    unfounded,
    wrong_patterns,
)
from raised_simnet.story.honest_dynamic_projects import fund_project, subscribe_project
from raised_simnet.story.honest_projects import (
    any_amount,
    odd_clients,
    project_with_every_spend,
    project_with_seeders,
    random_project,
    unfunded_project,
)
from raised_simnet.story.project_script import ProjectScript, stages
from raised_simnet.story.steps import Label, Reorganise
from raised_simnet.story.storyboard import SPACING, Story, Storyboard

TURNS: Final = 120
_CROWDS: Final = 3
_DAY: Final = 86400


def full_story(
    seed: int, start_at: int, written_at: int | None = None, *, shops: bool = False
) -> Story:
    """Everything: some twenty projects in 120 blocks. Its events are dated `written_at` on.

    With `shops` buyers pay in two stores as well; it then needs a world with a BTCPay Server.
    """
    storyboard = Storyboard(seed, start_at, TURNS, written_at)
    port = project_with_every_spend(storyboard)
    odd_clients(storyboard, port)
    look_alikes(storyboard, port)
    project_with_seeders(storyboard)
    wrong_patterns(storyboard, fund_project(storyboard))
    subscribe_project(storyboard)
    unfunded_project(storyboard)
    for number in range(_CROWDS):
        random_project(storyboard, number)
    founder_key_stolen(storyboard)
    announced_twice(storyboard)
    event_published_late(storyboard)
    event_never_published(storyboard)
    unfounded(storyboard)
    bad_events(storyboard, port)
    robbed = (shop_stories(storyboard, port).robbed,) if shops else ()
    _upheaval(storyboard, port, robbed)
    return storyboard.finish()


def small_story(seed: int, start_at: int) -> Story:
    """One ordinary project, for tests that are about something else."""
    storyboard = Storyboard(seed, start_at, TURNS)
    random_project(storyboard, 0)
    return storyboard.finish()


def start_before(now: int) -> int:
    """The midnight from which a story of today can begin without reaching into the future."""
    return (now - (TURNS + 1) * SPACING) // _DAY * _DAY


def _upheaval(storyboard: Storyboard, port: ProjectScript, unlucky: tuple[Label, ...]) -> None:
    """A reorganisation of six blocks that loses, moves and reorders, and two small ones."""
    robbed, founded = founder_key_race(storyboard)
    lost = port.invest(57, "lea", any_amount(storyboard))
    moved = port.invest(56, "moe", any_amount(storyboard))
    settled = port.invest(39, "oda", any_amount(storyboard))
    port.claim(stages(settled, 0), turn=54)
    claimed = port.claim(stages(settled, 1), turn=58)
    storyboard.reorganise(
        60,
        Reorganise(
            6,
            lose=(lost, claimed, founding_lost_in_reorg(storyboard), *unlucky),
            late=(moved, robbed),
            early=(founded,),
        ),
    )
    port.penalise(63, stages(settled, 1, 2))
    storyboard.reorganise(90, Reorganise(2))
    for turn, who in ((97, "pia"), (98, "quin")):
        port.invest(turn, who, any_amount(storyboard))
    storyboard.reorganise(98, Reorganise(2, emptied=True))

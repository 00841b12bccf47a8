"""The stories: which projects play, and when the chain changes its mind."""

from typing import Final

from raised_simnet.btcpay.shop_stories import market
from raised_simnet.story.attacks import (
    bad_events,
    comet,
    ember,
    glacier,
    look_alikes,
    phantom,
    stolen,
    twin,
    unfounded,
    wrong_patterns,
)
from raised_simnet.story.honest_dynamic_projects import lantern, meadow
from raised_simnet.story.honest_projects import beacon, crowd, harbour, odd_clients, orchard, some
from raised_simnet.story.project_script import Troupe, stages
from raised_simnet.story.steps import Label, Reorganise
from raised_simnet.story.storyboard import SPACING, Script, Story

TURNS: Final = 120
_CROWDS: Final = 3
_DAY: Final = 86400


def full_story(
    seed: int, start_at: int, written_at: int | None = None, *, shops: bool = False
) -> Story:
    """Everything: some twenty projects in 120 blocks. Its events are dated `written_at` on.

    With `shops` buyers pay in two stores as well; it then needs a world with a BTCPay Server.
    """
    script = Script(seed, start_at, TURNS, written_at)
    port = harbour(script)
    odd_clients(script, port)
    look_alikes(script, port)
    beacon(script)
    wrong_patterns(script, meadow(script))
    lantern(script)
    orchard(script)
    for number in range(_CROWDS):
        crowd(script, number)
    stolen(script)
    twin(script)
    comet(script)
    phantom(script)
    unfounded(script)
    bad_events(script, port)
    robbed = (market(script, port).robbed,) if shops else ()
    _upheaval(script, port, robbed)
    return script.finish()


def small_story(seed: int, start_at: int) -> Story:
    """One ordinary project, for tests that are about something else."""
    script = Script(seed, start_at, TURNS)
    crowd(script, 0)
    return script.finish()


def start_before(now: int) -> int:
    """The midnight from which a story of today can begin without reaching into the future."""
    return (now - (TURNS + 1) * SPACING) // _DAY * _DAY


def _upheaval(script: Script, port: Troupe, unlucky: tuple[Label, ...]) -> None:
    """A reorganisation of six blocks that loses, moves and reorders, and two small ones."""
    robbed, founded = glacier(script)
    lost = port.invest(57, "lea", some(script))
    moved = port.invest(56, "moe", some(script))
    settled = port.invest(39, "oda", some(script))
    port.claim(stages(settled, 0), turn=54)
    claimed = port.claim(stages(settled, 1), turn=58)
    script.reorganise(
        60,
        Reorganise(
            6,
            lose=(lost, claimed, ember(script), *unlucky),
            late=(moved, robbed),
            early=(founded,),
        ),
    )
    port.penalise(63, stages(settled, 1, 2))
    script.reorganise(90, Reorganise(2))
    for turn, who in ((97, "pia"), (98, "quin")):
        port.invest(turn, who, some(script))
    script.reorganise(98, Reorganise(2, emptied=True))

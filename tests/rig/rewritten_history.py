"""A project that is old by the time it is looked for, and what tests ask about it."""

from dataclasses import replace
from typing import Final

from tests.rig.followed_chain import HURRY, Follower, Stage, hurried

from raised.chain.settings import ChainSettings
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.explorer.server import Explorer

FAR: Final = 150  # blocks: more pages of headers than are read by the way


def short_sighted(stage: Stage, *, patient: bool = True) -> ChainSettings:
    """A short end of the chain is followed.

    Explorers are said to be slow, and are not: headers take a while, or, if not `patient`, more
    time than they are worth.
    """
    settings = replace(hurried(stage.world), finality=15)
    slow = replace(HURRY, per_second=1.0 if patient else 0.001)
    explorers = tuple(replace(one, rate_limit=slow) for one in settings.explorers)
    return replace(settings, explorers=explorers)


def height_of_stake(stage: Stage) -> int:
    """Where the first investment is."""
    place = ChainView(stage.world.chain).place(stage.stakes[0].tx.txid)
    assert place is not None
    return place.stored.height


def state_of(follower: Follower, explorer: Explorer) -> str | None:
    """How an explorer does, by its health."""
    health = follower.health(explorer)
    return health.state if health else None


def opponents_of(follower: Follower, explorer: Explorer) -> object:
    """Whom its health names as saying something else."""
    health = follower.health(explorer)
    return health.facts["disagrees_with"] if health else ()

"""A project that is old by the time it is looked for, and what tests ask about it."""

from dataclasses import replace
from typing import Final

from tests.rig.followed_chain import UNLIMITED, FundedProject, ObservationLog, fast_settings

from raised.chain.settings import ChainSettings
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.explorer.server import Explorer

OLD_BLOCKS: Final = 150  # blocks: more pages of headers than are read by the way


def short_chain_settings(funded: FundedProject, *, links_affordable: bool = True) -> ChainSettings:
    """Settings by which only the newest blocks are followed, so that the project is old.

    The rate limits say that explorers are slow, which they are not: reading the headers in between
    takes a while by that, or, without `links_affordable`, longer than it may.
    """
    settings = replace(fast_settings(funded.world), finality=15)
    slow = replace(UNLIMITED, per_second=1.0 if links_affordable else 0.001)
    explorers = tuple(replace(explorer, rate_limit=slow) for explorer in settings.explorers)
    return replace(settings, explorers=explorers)


def investment_height(funded: FundedProject) -> int:
    """Where the first investment is."""
    place = ChainView(funded.world.chain).place(funded.investments[0].tx.txid)
    assert place is not None
    return place.stored.height


def state_of(observed: ObservationLog, explorer: Explorer) -> str | None:
    """How an explorer does, by its health."""
    health = observed.health(explorer)
    return health.state if health else None


def opponents_of(observed: ObservationLog, explorer: Explorer) -> object:
    """Whom its health names as saying something else."""
    health = observed.health(explorer)
    return health.facts["disagrees_with"] if health else ()

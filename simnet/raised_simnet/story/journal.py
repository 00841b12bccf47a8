"""What the actors did: every payment, every exit, every event, as they meant it.

The oracle adds up from here. Nothing in this file looks into a transaction.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from raised.domain.bitcoin.tx import Tx
from raised_simnet.story.steps import (
    Address,
    ByClaim,
    ByEnd,
    ByRecovery,
    BySecrets,
    Invests,
    Label,
    Leave,
    Meaning,
    Penalty,
    Publish,
    StageRef,
    Way,
)


class Exit(StrEnum):
    """How a stage output was left."""

    CLAIM = "claim"
    RECOVERY = "recovery"
    UNFUNDED_RELEASE = "unfunded_release"
    PENALTY_FREE_RECOVERY = "penalty_free_recovery"
    END_OF_PROJECT = "end_of_project"


@dataclass(frozen=True, slots=True)
class Investment:
    """A payment and what it meant."""

    tx: Tx
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class StageExit:
    """A transaction that left stage outputs, input by input."""

    tx: Tx
    coins: tuple[StageRef, ...]
    exits: tuple[Exit, ...]


@dataclass(frozen=True, slots=True)
class PenaltyRelease:
    """A transaction that took penalty outputs of a recovery."""

    tx: Tx
    recovery: Label
    vins: tuple[int, ...]


@dataclass(slots=True)
class Journal:
    """Everything that was done, by label, and every event that was published."""

    paid: dict[Label, Investment] = field(default_factory=dict)
    left: dict[Label, StageExit] = field(default_factory=dict)
    freed: dict[Label, PenaltyRelease] = field(default_factory=dict)
    published: list[Publish] = field(default_factory=list)

    def tx(self, label: Label) -> Tx:
        """The transaction with this label."""
        for pages in (self.paid, self.left, self.freed):
            if label in pages:
                return pages[label].tx
        raise KeyError(label)

    def invested(self, label: Label) -> tuple[Tx, Invests]:
        """The investment with this label."""
        entry = self.paid[label]
        assert isinstance(entry.meaning, Invests), "the label of an investment"
        return entry.tx, entry.meaning

    def value(self, ref: StageRef) -> int:
        """What was locked in this stage output."""
        return self.invested(ref.label)[1].placement.stages[ref.index].value

    def note_exit(self, step: Leave, tx: Tx) -> None:
        """Write down an exit as its actors meant it."""
        self.left[step.label] = StageExit(tx, step.coins, _exits(step.way, len(step.coins)))


def _exits(way: Way, coins: int) -> tuple[Exit, ...]:
    match way:
        case ByClaim():
            return (Exit.CLAIM,) * coins
        case ByEnd():
            return (Exit.END_OF_PROJECT,) * coins
        case BySecrets():
            return (Exit.PENALTY_FREE_RECOVERY,) * coins
        case ByRecovery():
            return tuple(map(_exit_to, way.destinations))


def _exit_to(destination: Penalty | Address) -> Exit:
    return Exit.RECOVERY if isinstance(destination, Penalty) else Exit.UNFUNDED_RELEASE

"""Writing a story: who does what before which block. No chain is needed for that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from raised_simnet.actors.keys import Key, key_of
from raised_simnet.btcpay.shop import Collection
from raised_simnet.btcpay.store import Policy
from raised_simnet.story.steps import Mine, Reorganise, Step

SPACING: Final = 129600  # a day and a half between blocks: half a year in an afternoon
_MEDIAN_LAG: Final = 6  # blocks until the median time past has moved beyond a block's time
_SLACK: Final = 1  # a reorganised branch is a little younger
_DAY: Final = 86400
_AFTER: Final = 60


@dataclass(frozen=True, slots=True)
class Story:
    """A finished script: its steps in order, and how many coins its actors need.

    `shops`: what its stores are, by label; `collections`: the campaigns that are to be followed.
    """

    seed: int
    start_at: int
    steps: tuple[Step, ...]
    coin_keys: tuple[Key, ...]
    shops: Mapping[str, Policy] = field(default_factory=dict)
    collections: tuple[Collection, ...] = ()


class Storyboard:
    """Steps by turn. Turn k is everything that happens before block k; its time is known.

    `written_at`: what the events are dated. They are published when the story is played, however
    far its blocks reach into the past, and followers that were away ask for what is new.
    """

    def __init__(self, seed: int, start_at: int, turns: int, written_at: int | None = None) -> None:
        self.seed = seed
        self.start_at = start_at
        self.turns = turns
        self.random = Random(seed)
        self._steps: list[list[Step]] = [[] for _ in range(turns)]
        self._reorgs: dict[int, Reorganise] = {}
        self._coin_keys: list[Key] = []
        self._labels: set[str] = set()
        self.shops: dict[str, Policy] = {}
        self.collections: list[Collection] = []
        self._stamp = self.time(turns) if written_at is None else written_at

    def key(self, label: str) -> Key:
        """The key with this label in this story."""
        return key_of(self.seed, label)

    def time(self, turn: int) -> int:
        """When the block of this turn is mined."""
        return self.start_at + turn * SPACING

    def midnight(self, turn: int) -> int:
        """The midnight before it."""
        return self.time(turn) // _DAY * _DAY

    def ripe(self, at: int) -> int:
        """The first turn whose block may hold a transaction that is locked until `at`."""
        passed = (at + _AFTER - self.start_at) // SPACING + 1
        return passed + _MEDIAN_LAG + _SLACK

    def ripe_after(self, turn: int, days: int) -> int:
        """The first turn at which a penalty of so many days, begun in this turn, can be left."""
        return turn + -(-days * _DAY // SPACING) + 1 + _SLACK

    def stamp(self) -> int:
        """The date of the next event: one second after the last one's."""
        self._stamp += 1
        return self._stamp

    def coin(self) -> int:
        """The number of a coin that nobody else uses."""
        self._coin_keys.append(self.key(f"coin {len(self._coin_keys)}"))
        return len(self._coin_keys) - 1

    def do(self, turn: int, step: Step) -> None:
        """Add a step before the block of this turn."""
        self._steps[turn].append(step)

    def reorganise(self, turn: int, reorg: Reorganise) -> None:
        """Let the chain be reorganised after the block of this turn."""
        self._reorgs[turn] = reorg

    def label(self, text: str) -> str:
        """The text, or with a number behind it when it is taken."""
        label, number = text, 1
        while label in self._labels:
            number += 1
            label = f"{text} {number}"
        self._labels.add(label)
        return label

    def finish(self) -> Story:
        """The story. What happens in the last turn is not mined."""
        steps: list[Step] = []
        for turn, before in enumerate(self._steps):
            steps.extend(before)
            if turn < self.turns - 1:
                steps.append(Mine(self.time(turn)))
            if turn in self._reorgs:
                steps.append(self._reorgs[turn])
        return Story(
            *(self.seed, self.start_at, tuple(steps)),
            *(tuple(self._coin_keys), self.shops, tuple(self.collections)),
        )

"""What a step of the ancestry check comes to: a closed set, to be matched exhaustively."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing has to be fetched before the blocks can be checked."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Each block is one of our chain, or everybody who could be asked says so."""


@dataclass(frozen=True, slots=True)
class NeedsLink:
    """The explorer has to show its headers from our chain down to this height first."""

    height: int


@dataclass(frozen=True, slots=True)
class NeedsAnswers:
    """The other explorers have to be asked for their blocks at these heights first."""

    heights: frozenset[int]


@dataclass(frozen=True, slots=True)
class NeedsOthers:
    """Only one explorer can be asked now, and another one may come back soon."""


Unfinished = NeedsLink | NeedsAnswers | NeedsOthers
Preparation = Ready | NeedsLink | NeedsAnswers
Verdict = Proven | NeedsLink | NeedsAnswers | NeedsOthers

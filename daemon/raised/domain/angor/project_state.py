"""How a project stands: which founding transaction decides, which event is meant, and its status.

Decided anew from all events and founding transactions of the identifier whenever one of them
changes. Source: design.md 5; angor.md 4, 5.5.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from raised.domain.angor.investment import Investment, recognise
from raised.domain.angor.investment_state import Place, StoredTx, Tip
from raised.domain.angor.terms import Terms
from raised.domain.bitcoin.tx import Txid

# `hidden`: nothing but a founding transaction that does not count yet.
ProjectStatus = Literal[
    "hidden", "announced", "committed", "confirmed", "rejected", "event_missing"
]

CONFLICT: Final = "conflict"
LEGACY_FOUNDING: Final = "legacy_founding"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that says it is a project, or that a founding transaction names.

    `project_id` and `founder_key` are what it claims; `reason` says why it cannot be that project.
    """

    event_id: str
    pubkey: str
    created_at: int
    project_id: str | None
    founder_key: str | None
    reason: str | None
    withdrawn: bool

    @property
    def order(self) -> tuple[int, str]:
        """Which of several comes first."""
        return (self.created_at, self.event_id)


@dataclass(frozen=True, slots=True)
class StoredFounding:
    """A transaction that passes the founding test: it names an event, or (legacy) a nostr key."""

    txid: Txid
    founder_key: str
    event_id: str | None
    nostr_pubkey: str | None
    place: Place | None
    gone: bool

    @property
    def names(self) -> tuple[str | None, str | None]:
        """What it commits to."""
        return (self.event_id, self.nostr_pubkey)

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Which of several comes first; the unconfirmed ones last."""
        if self.place is None:
            return (True, 0, 0, self.txid)
        return (False, self.place.height, self.place.position, self.txid)


@dataclass(frozen=True, slots=True)
class ProjectState:
    """Status and choice. `event`: the one whose terms hold: committed, else first announced."""

    status: ProjectStatus
    reason: str | None
    event: Candidate | None
    founding: StoredFounding | None
    flags: tuple[str, ...]
    candidates: int


# Where on the chain the first investment stands whose stage scripts follow from this event's terms.
Reproduces = Callable[[str], tuple[int, int] | None]


def first_reproduced(terms: Terms, held: Iterable[StoredTx]) -> tuple[int, int] | None:
    """Where, as (height, position), the first investment under these terms stands, if any."""
    placed = [(tx.place.height, tx.place.position, tx.tx) for tx in held if tx.place]
    for height, position, tx in sorted(placed, key=lambda row: row[:2]):
        if isinstance(recognise(terms, tx), Investment):
            return (height, position)
    return None


def choose(
    project_id: str,
    foundings: Sequence[StoredFounding],
    candidates: Sequence[Candidate],
    tip: Tip | None,
    reproduces: Reproduces,
) -> ProjectState:
    """How the project stands.

    `candidates`: the events that announce this identifier, and those that its foundings name.
    """
    good = sorted(
        (
            candidate
            for candidate in candidates
            if candidate.reason is None and candidate.project_id == project_id
        ),
        key=lambda candidate: candidate.order,
    )
    live = [founding for founding in foundings if founding.place is not None or not founding.gone]
    ordered = sorted(live, key=lambda founding: founding.order)
    deep = [founding for founding in ordered if tip is not None and tip.is_deep(founding.place)]
    if deep:
        status, reason, event = _decided(project_id, deep[0], candidates, reproduces)
        return ProjectState(status, reason, event, deep[0], _flags(deep), len(good))
    by_id = {candidate.event_id: candidate for candidate in candidates}
    for founding in ordered:
        named = by_id.get(founding.event_id or "")
        if named is not None and _misfit(project_id, founding, named) is None:
            return ProjectState("committed", None, named, founding, (), len(good))
    claiming = [candidate for candidate in candidates if candidate.project_id == project_id]
    status, reason, event = _announced(good, claiming)
    return ProjectState(status, reason, event, None, (), len(good))


_Choice = tuple[ProjectStatus, str | None, Candidate | None]


def _decided(
    project_id: str,
    founding: StoredFounding,
    candidates: Sequence[Candidate],
    reproduces: Reproduces,
) -> _Choice:
    """What the first founding transaction makes of it; its event alone counts, for good or bad."""
    if founding.event_id is None:
        return _decided_by_coins(project_id, founding, candidates, reproduces)
    named = next(
        (candidate for candidate in candidates if candidate.event_id == founding.event_id), None
    )
    if named is None:
        return ("event_missing", None, None)
    misfit = _misfit(project_id, founding, named)
    # A deletion after the fact changes nothing: the coins are bound to the terms. Nor does one that
    # claims to be older: its date is its author's word, and would make raised money vanish.
    return ("confirmed", None, named) if misfit is None else ("rejected", misfit, named)


def _decided_by_coins(
    project_id: str,
    founding: StoredFounding,
    candidates: Sequence[Candidate],
    reproduces: Reproduces,
) -> _Choice:
    """A legacy founding names a nostr key: its event whose terms reproduce an investment counts.

    Of several the one whose investment the chain holds first: an event written later, under
    whatever date, cannot take the money of those who came before.
    """
    possible = sorted(
        (
            candidate
            for candidate in candidates
            if candidate.pubkey == founding.nostr_pubkey
            and _misfit(project_id, founding, candidate) is None
        ),
        key=lambda candidate: candidate.order,
    )
    proven = [
        (at, variant) for variant in possible if (at := reproduces(variant.event_id)) is not None
    ]
    if proven:
        return ("confirmed", None, min(proven, key=lambda found: (found[0], found[1].order))[1])
    standing = [variant for variant in possible if not variant.withdrawn]
    if standing:
        return ("announced", None, standing[0])
    return ("rejected", "withdrawn", possible[0]) if possible else ("event_missing", None, None)


def _misfit(project_id: str, founding: StoredFounding, named: Candidate) -> str | None:
    """Why an event is not what this founding transaction commits to; None when it is."""
    if named.reason is not None:
        return named.reason
    if named.project_id != project_id:
        return "other_event_committed"
    if named.founder_key != founding.founder_key:
        return "not_founder_key"
    return None


def _announced(good: Sequence[Candidate], claiming: Sequence[Candidate]) -> _Choice:
    standing = [candidate for candidate in good if not candidate.withdrawn]
    if standing:
        return ("announced", None, standing[0])
    if good:
        return ("rejected", "withdrawn", good[0])
    if claiming:
        first = min(claiming, key=lambda candidate: candidate.order)
        return ("rejected", first.reason, first)
    return ("hidden", None, None)


def _flags(deep: Sequence[StoredFounding]) -> tuple[str, ...]:
    flags: list[str] = []
    if any(later.names != deep[0].names for later in deep[1:]):
        flags.append(CONFLICT)
    if deep[0].event_id is None:
        flags.append(LEGACY_FOUNDING)
    return tuple(flags)


def target_reached(target_sats: int | None) -> int | None:
    """The sum at which the target counts as reached: what the fee takes is left out.

    Source: angor.md 11.
    """
    if target_sats is None or target_sats <= 0:
        return None
    return target_sats - target_sats // 100


def first_reaching(goal_sats: int, amounts: Sequence[tuple[int, int]]) -> int | None:
    """When a running sum reaches the goal; `amounts` are (at, sats) in the order of time."""
    total = 0
    for at, sats in amounts:
        total += sats
        if total >= goal_sats:
            return at
    return None

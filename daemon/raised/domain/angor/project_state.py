"""The state of a project: which founding transaction decides, which event counts, and the status.

Computed anew from all events and founding transactions of the identifier whenever one of them
changes. Source: docs/angor.md 4, 5.5.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from raised.domain.angor.investment import Investment, recognise
from raised.domain.angor.investment_state import Place, StoredTx, Tip
from raised.domain.angor.terms import Terms
from raised.domain.bitcoin.tx import Txid

# `hidden`: known only by a founding transaction without enough confirmations; never listed.
ProjectStatus = Literal[
    "hidden", "announced", "committed", "confirmed", "rejected", "event_missing"
]

CONFLICT: Final = "conflict"
LEGACY_FOUNDING: Final = "legacy_founding"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that announces a project, or that a founding transaction names.

    `project_id` and `founder_key` are what its content claims; `reason` is why it is no valid
    announcement, or None.
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
        """Sort key: the oldest first."""
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
        """The event id or nostr key that it commits to."""
        return (self.event_id, self.nostr_pubkey)

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Sort key: place on the chain, the unconfirmed ones last."""
        if self.place is None:
            return (True, 0, 0, self.txid)
        return (False, self.place.height, self.place.position, self.txid)


@dataclass(frozen=True, slots=True)
class ProjectState:
    """Status and choice. `event` is the committed one, else the first that was announced."""

    status: ProjectStatus
    reason: str | None
    event: Candidate | None
    founding: StoredFounding | None
    flags: tuple[str, ...]
    candidates: int


# By event id: (height, position) of the first investment that matches the event's terms.
Reproduces = Callable[[str], tuple[int, int] | None]


def first_reproduced_investment(terms: Terms, stored: Iterable[StoredTx]) -> tuple[int, int] | None:
    """(height, position) of the first investment under these terms, if any."""
    placed = [(tx.place.height, tx.place.position, tx.tx) for tx in stored if tx.place]
    for height, position, tx in sorted(placed, key=lambda row: row[:2]):
        if isinstance(recognise(terms, tx), Investment):
            return (height, position)
    return None


def decide_project(
    project_id: str,
    foundings: Sequence[StoredFounding],
    candidates: Sequence[Candidate],
    tip: Tip | None,
    reproduces: Reproduces,
) -> ProjectState:
    """The project's state.

    `candidates` are the events that announce this identifier, and those that its founding
    transactions name.
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
        status, reason, event = _decide_by_event(project_id, deep[0], candidates, reproduces)
        return ProjectState(status, reason, event, deep[0], _flags(deep), len(good))
    by_id = {candidate.event_id: candidate for candidate in candidates}
    for founding in ordered:
        named = by_id.get(founding.event_id or "")
        if named is not None and _mismatch(project_id, founding, named) is None:
            return ProjectState("committed", None, named, founding, (), len(good))
    claiming = [candidate for candidate in candidates if candidate.project_id == project_id]
    status, reason, event = _decide_unfounded(good, claiming)
    return ProjectState(status, reason, event, None, (), len(good))


_Choice = tuple[ProjectStatus, str | None, Candidate | None]


def _decide_by_event(
    project_id: str,
    founding: StoredFounding,
    candidates: Sequence[Candidate],
    reproduces: Reproduces,
) -> _Choice:
    """Decide by the first founding transaction: only the event that it names can count."""
    if founding.event_id is None:
        return _decide_by_investments(project_id, founding, candidates, reproduces)
    named = next(
        (candidate for candidate in candidates if candidate.event_id == founding.event_id), None
    )
    if named is None:
        return ("event_missing", None, None)
    mismatch = _mismatch(project_id, founding, named)
    # A deletion (NIP-09) never withdraws a committed event: the coins are bound to its terms. Its
    # date is no argument either, for its author writes it.
    return ("confirmed", None, named) if mismatch is None else ("rejected", mismatch, named)


def _decide_by_investments(
    project_id: str,
    founding: StoredFounding,
    candidates: Sequence[Candidate],
    reproduces: Reproduces,
) -> _Choice:
    """A legacy founding names a nostr key: its event whose terms match an investment counts.

    Of several, the one whose first investment is earliest on the chain: an event written later,
    whatever its date, must not take over earlier money.
    """
    possible = sorted(
        (
            candidate
            for candidate in candidates
            if candidate.pubkey == founding.nostr_pubkey
            and _mismatch(project_id, founding, candidate) is None
        ),
        key=lambda candidate: candidate.order,
    )
    proven = [
        (at, variant) for variant in possible if (at := reproduces(variant.event_id)) is not None
    ]
    if proven:
        return ("confirmed", None, min(proven, key=lambda found: (found[0], found[1].order))[1])
    valid = [variant for variant in possible if not variant.withdrawn]
    if valid:
        return ("announced", None, valid[0])
    return ("rejected", "withdrawn", possible[0]) if possible else ("event_missing", None, None)


def _mismatch(project_id: str, founding: StoredFounding, named: Candidate) -> str | None:
    """Why the event is not the one that this founding transaction commits to, or None."""
    if named.reason is not None:
        return named.reason
    if named.project_id != project_id:
        return "other_event_committed"
    if named.founder_key != founding.founder_key:
        return "not_founder_key"
    return None


def _decide_unfounded(good: Sequence[Candidate], claiming: Sequence[Candidate]) -> _Choice:
    valid = [candidate for candidate in good if not candidate.withdrawn]
    if valid:
        return ("announced", None, valid[0])
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
    """The sum in sats at which the target counts as reached: the target without the 1 percent fee.

    Source: docs/angor.md 11.
    """
    if target_sats is None or target_sats <= 0:
        return None
    return target_sats - target_sats // 100


def first_reaching(goal_sats: int, amounts: Sequence[tuple[int, int]]) -> int | None:
    """When the running sum reaches the goal, or None; `amounts` are (time, sats) by time."""
    total = 0
    for at, sats in amounts:
        total += sats
        if total >= goal_sats:
            return at
    return None

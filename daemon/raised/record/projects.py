"""Recomputes projects from all their founding transactions and events."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import coins, events, foundings, projects, txs
from raised.domain.angor.investment_state import InvestmentContext, Tip
from raised.domain.angor.project_snapshot import (
    Profile,
    ProjectSnapshot,
    parse_profile,
    project_changes,
    project_snapshot,
)
from raised.domain.angor.project_state import (
    Candidate,
    ProjectState,
    StoredFounding,
    decide_project,
    first_reproduced_investment,
)
from raised.domain.angor.terms import Announcement, Terms
from raised.domain.event import PROFILE, Event
from raised.record.dirty_set import DirtySet, Policy
from raised.record.relay_facts import check_event

_WITH_TERMS: Final = frozenset({"announced", "committed", "confirmed"})
# A limit of ours: each event is compared with every payment, and its author may write any number.
_MOST_CANDIDATES: Final = 20


@dataclass(frozen=True, slots=True)
class DecidedProject:
    """A project's outcome: what its investments are measured against, and whether that `changed`.

    `refounded`: another founding transaction decides than the one that its ledger rows rest on.
    """

    context: InvestmentContext
    changed: bool
    refounded: bool


async def recompute_projects(
    conn: AsyncConnection, ids: Iterable[str], policy: Policy, tip: Tip | None, dirty: DirtySet
) -> dict[str, DecidedProject]:
    """Recompute these projects, and store what became different and its changes."""
    known = await projects.project_snapshots(conn, ids)
    states = await _states(conn, known, policy, tip)
    terms = await _terms(conn, states, policy)
    profiles = await _profiles(conn, states, terms)
    snapshots = {
        project_id: project_snapshot(
            project_id, state, terms.get(project_id), profiles.get(project_id, Profile())
        )
        for project_id, state in states.items()
    }
    await _put(conn, [new for key, new in snapshots.items() if new != known[key]], known, dirty)
    return {
        key: _decided(states[key], known[key], snapshot, terms.get(key))
        for key, snapshot in snapshots.items()
    }


async def _put(
    conn: AsyncConnection,
    different: Sequence[ProjectSnapshot],
    known: Mapping[str, ProjectSnapshot],
    dirty: DirtySet,
) -> None:
    await projects.put_project_snapshots(conn, different)
    restaged = [new for new in different if new.stages != known[new.id].stages]
    stale = [new.id for new in restaged if known[new.id].stages]
    await projects.replace_stages(conn, restaged, stale)
    for new in different:
        old = known[new.id]
        # Nobody was shown a hidden project: what it becomes is its first state.
        for change in project_changes(None if old.status == "hidden" else old, new):
            dirty.add_change(change)


def _decided(
    state: ProjectState, old: ProjectSnapshot, new: ProjectSnapshot, terms: Terms | None
) -> DecidedProject:
    confirmed = state.status == "confirmed"
    founding = state.founding
    context = InvestmentContext(
        project_id=new.id,
        terms=terms if state.status in _WITH_TERMS else None,
        counts=confirmed,
        founding=founding.place if confirmed and founding is not None else None,
    )
    refounded = confirmed and old.status == "confirmed" and old.founding_txid != new.founding_txid
    return DecidedProject(context, _foundation(old) != _foundation(new), refounded)


def _foundation(snapshot: ProjectSnapshot) -> tuple[object, ...]:
    """What of a project its investments are measured against."""
    return (snapshot.status, snapshot.event_id, snapshot.founding_txid, snapshot.founded_hash)


async def _states(
    conn: AsyncConnection, ids: Collection[str], policy: Policy, tip: Tip | None
) -> dict[str, ProjectState]:
    foundings_ = await foundings.foundings_of(conn, ids)
    named = [
        founding.event_id
        for stored in foundings_.values()
        for founding in stored
        if founding.event_id is not None
    ]
    announced = await events.announcements_of(conn, ids, named)
    by_event = {candidate.event_id: candidate for candidate in announced}
    by_project: defaultdict[str | None, list[Candidate]] = defaultdict(list)
    for candidate in announced:
        by_project[candidate.project_id].append(candidate)
    states: dict[str, ProjectState] = {}
    for project_id in ids:
        stored = foundings_.get(project_id, [])
        candidates = _candidates(by_project[project_id], stored, by_event)
        reproduced = await _reproduced(conn, project_id, stored, candidates, policy)
        states[project_id] = decide_project(project_id, stored, candidates, tip, reproduced.get)
    return states


def _candidates(
    claiming: Iterable[Candidate],
    stored: Iterable[StoredFounding],
    by_event: Mapping[str, Candidate],
) -> tuple[Candidate, ...]:
    """The events that claim a project, and those that its founding transactions name."""
    candidates = {candidate.event_id: candidate for candidate in claiming}
    for founding in stored:
        if founding.event_id is not None and founding.event_id in by_event:
            candidates[founding.event_id] = by_event[founding.event_id]
    return tuple(candidates.values())


async def _reproduced(
    conn: AsyncConnection,
    project_id: str,
    stored: Sequence[StoredFounding],
    candidates: Iterable[Candidate],
    policy: Policy,
) -> dict[str, tuple[int, int]]:
    """The events whose terms a confirmed investment follows, and where on the chain the first is.

    Only legacy founding transactions need it: they name the author of the event, not the event.
    """
    authors = {founding.nostr_pubkey for founding in stored if founding.nostr_pubkey is not None}
    written = sorted(
        (candidate for candidate in candidates if candidate.pubkey in authors),
        key=lambda candidate: candidate.order,
    )
    if not written:
        return {}
    paying = await txs.stored_txs(conn, await coins.payments_to(conn, [project_id]))
    ids = [candidate.event_id for candidate in written[:_MOST_CANDIDATES]]
    reproduced: dict[str, tuple[int, int]] = {}
    for event_id, event in (await events.events_by_id(conn, ids)).items():
        terms = _terms_in(event, policy)
        first = None if terms is None else first_reproduced_investment(terms, paying.values())
        if first is not None:
            reproduced[event_id] = first
    return reproduced


def _terms_in(event: Event, policy: Policy) -> Terms | None:
    result = check_event(event, policy.network)
    return result.terms if isinstance(result, Announcement) else None


async def _terms(
    conn: AsyncConnection, states: Mapping[str, ProjectState], policy: Policy
) -> dict[str, Terms]:
    chosen = {
        project_id: state.event.event_id
        for project_id, state in states.items()
        if state.event is not None
    }
    stored = await events.events_by_id(conn, chosen.values())
    terms = {key: _terms_in(stored[event_id], policy) for key, event_id in chosen.items()}
    # An event that a founding transaction names may be another project's.
    return {
        project_id: own
        for project_id, own in terms.items()
        if own is not None and own.project_id == project_id
    }


async def _profiles(
    conn: AsyncConnection, states: Mapping[str, ProjectState], terms: Mapping[str, Terms]
) -> dict[str, Profile]:
    authors = {project_id: own.nostr_pubkey for project_id, own in terms.items()}
    for project_id, state in states.items():
        founding = state.founding
        if project_id not in authors and founding is not None and founding.nostr_pubkey is not None:
            authors[project_id] = founding.nostr_pubkey
    contents = await events.profiles_of(conn, authors.values(), PROFILE)
    return {
        project_id: parse_profile(contents[author])
        for project_id, author in authors.items()
        if author in contents
    }

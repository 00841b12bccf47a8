"""Decide projects anew: from all their founding transactions and events, beside what is shown."""

from collections.abc import Iterable, Mapping, Sequence
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
from raised.record.dirty import DirtySet, Policy
from raised.record.relay_facts import judgement

_WITH_TERMS: Final = frozenset({"announced", "committed", "confirmed"})
# Ours: each is held against every payment, and its author may write as many as he likes.
_MOST_READINGS: Final = 20


@dataclass(frozen=True, slots=True)
class DecidedProject:
    """A project that was decided: what its investments are measured against, and whether that is
    new; `anew`: another founding transaction decides than the one that its rows stand on.
    """

    basis: InvestmentContext
    is_new: bool
    anew: bool


async def decide_projects(
    conn: AsyncConnection, ids: Iterable[str], policy: Policy, tip: Tip | None, dirty: DirtySet
) -> dict[str, DecidedProject]:
    """Decide these projects, and keep and tell what became different."""
    shown = await projects.project_snapshots(conn, ids)
    investment_states = await _investment_states(conn, shown, policy, tip)
    terms = await _terms(conn, investment_states, policy)
    profiles = await _profiles(conn, investment_states, terms)
    snapshots = {
        key: project_snapshot(key, one, terms.get(key), profiles.get(key, Profile()))
        for key, one in investment_states.items()
    }
    different = [snapshot for key, snapshot in snapshots.items() if snapshot != shown[key]]
    await projects.put_project_snapshots(conn, different)
    moved = [snapshot for snapshot in different if snapshot.stages != shown[snapshot.id].stages]
    stale = [snapshot.id for snapshot in moved if shown[snapshot.id].stages]
    await projects.put_calendars(conn, moved, stale)
    for snapshot in different:
        old = shown[snapshot.id]
        for change in project_changes(None if old.status == "hidden" else old, snapshot):
            dirty.tell(change)
    return {
        key: _decided(investment_states[key], shown[key], snapshot, terms.get(key))
        for key, snapshot in snapshots.items()
    }


def _decided(
    standing: ProjectState, old: ProjectSnapshot, new: ProjectSnapshot, terms: Terms | None
) -> DecidedProject:
    confirmed = standing.status == "confirmed"
    founding = standing.founding
    basis = InvestmentContext(
        project_id=new.id,
        terms=terms if standing.status in _WITH_TERMS else None,
        counts=confirmed,
        founding=founding.place if confirmed and founding is not None else None,
    )
    anew = confirmed and old.status == "confirmed" and old.founding_txid != new.founding_txid
    return DecidedProject(basis, _ground(old) != _ground(new), anew)


def _ground(snapshot: ProjectSnapshot) -> tuple[object, ...]:
    return (snapshot.status, snapshot.event_id, snapshot.founding_txid, snapshot.founded_hash)


async def _investment_states(
    conn: AsyncConnection, shown: Mapping[str, ProjectSnapshot], policy: Policy, tip: Tip | None
) -> dict[str, ProjectState]:
    founded = await foundings.foundings_of(conn, shown)
    named = [one.event_id for held in founded.values() for one in held if one.event_id is not None]
    found = await events.announcements_of(conn, shown, named)
    by_project: dict[str, list[Candidate]] = {key: [] for key in shown}
    by_event = {one.event_id: one for one in found}
    for one in found:
        if one.project_id in by_project:
            by_project[one.project_id].append(one)
    investment_states: dict[str, ProjectState] = {}
    for key in shown:
        held = founded.get(key, [])
        candidates = {one.event_id: one for one in by_project[key]}
        for founding in held:
            if founding.event_id is not None and founding.event_id in by_event:
                candidates[founding.event_id] = by_event[founding.event_id]
        reproducing = await _reproducing(conn, key, held, candidates.values(), policy)
        investment_states[key] = decide_project(
            key, held, tuple(candidates.values()), tip, reproducing.get
        )
    return investment_states


async def _reproducing(
    conn: AsyncConnection,
    project_id: str,
    held: Sequence[StoredFounding],
    candidates: Iterable[Candidate],
    policy: Policy,
) -> dict[str, tuple[int, int]]:
    """The events whose terms a mined investment follows, and where on the chain the first one is.

    Asked for legacy foundings only.
    """
    keys = {one.nostr_pubkey for one in held if one.nostr_pubkey is not None}
    written = sorted((one for one in candidates if one.pubkey in keys), key=lambda one: one.order)
    if not written:
        return {}
    paying = await txs.stored_txs(conn, await coins.payments_to(conn, [project_id]))
    possible = [one.event_id for one in written[:_MOST_READINGS]]
    found: dict[str, tuple[int, int]] = {}
    for key, event in (await events.events_by_id(conn, possible)).items():
        terms = _terms_in(event, policy)
        first = None if terms is None else first_reproduced_investment(terms, paying.values())
        if first is not None:
            found[key] = first
    return found


def _terms_in(event: Event, policy: Policy) -> Terms | None:
    verdict = judgement(event, policy.network)
    return verdict.terms if isinstance(verdict, Announcement) else None


async def _terms(
    conn: AsyncConnection, investment_states: Mapping[str, ProjectState], policy: Policy
) -> dict[str, Terms]:
    chosen = {
        key: one.event.event_id for key, one in investment_states.items() if one.event is not None
    }
    found = await events.events_by_id(conn, chosen.values())
    terms = {key: _terms_in(found[event_id], policy) for key, event_id in chosen.items()}
    # Terms of another project's event say nothing of this one.
    return {key: one for key, one in terms.items() if one is not None and one.project_id == key}


async def _profiles(
    conn: AsyncConnection, investment_states: Mapping[str, ProjectState], terms: Mapping[str, Terms]
) -> dict[str, Profile]:
    authors = {key: one.nostr_pubkey for key, one in terms.items()}
    for key, standing in investment_states.items():
        founding = standing.founding
        if key not in authors and founding is not None and founding.nostr_pubkey is not None:
            authors[key] = founding.nostr_pubkey
    contents = await events.profiles_of(conn, authors.values(), PROFILE)
    return {
        key: parse_profile(contents[author])
        for key, author in authors.items()
        if author in contents
    }

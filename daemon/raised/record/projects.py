"""Decide projects anew: from all their founding transactions and events, beside what is shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import coins, events, foundings, projects, txs
from raised.domain.angor.investment_state import Basis, Tip
from raised.domain.angor.project_snapshot import (
    Profile,
    ProjectFace,
    face_of_project,
    parse_profile,
    project_changes,
)
from raised.domain.angor.project_state import (
    Candidate,
    HeldFounding,
    ProjectStanding,
    choose,
    first_reproduced,
)
from raised.domain.angor.terms import Announcement, Terms
from raised.domain.event import PROFILE, Event
from raised.record.dirty import Policy, Touched
from raised.record.relay_facts import judgement

_WITH_TERMS: Final = frozenset({"announced", "committed", "confirmed"})
# Ours: each is held against every payment, and its author may write as many as he likes.
_MOST_READINGS: Final = 20


@dataclass(frozen=True, slots=True)
class DecidedProject:
    """A project that was decided: what its investments are measured against, and whether that is
    new; `anew`: another founding transaction decides than the one that its rows stand on.
    """

    basis: Basis
    is_new: bool
    anew: bool


async def decide_projects(
    conn: AsyncConnection, ids: Iterable[str], policy: Policy, tip: Tip | None, touched: Touched
) -> dict[str, DecidedProject]:
    """Decide these projects, and keep and tell what became different."""
    shown = await projects.project_faces(conn, ids)
    standings = await _standings(conn, shown, policy, tip)
    terms = await _terms(conn, standings, policy)
    profiles = await _profiles(conn, standings, terms)
    faces = {
        key: face_of_project(key, one, terms.get(key), profiles.get(key, Profile()))
        for key, one in standings.items()
    }
    different = [face for key, face in faces.items() if face != shown[key]]
    await projects.put_project_faces(conn, different)
    moved = [face for face in different if face.stages != shown[face.id].stages]
    stale = [face.id for face in moved if shown[face.id].stages]
    await projects.put_calendars(conn, moved, stale)
    for face in different:
        old = shown[face.id]
        for change in project_changes(None if old.status == "hidden" else old, face):
            touched.tell(change)
    return {
        key: _decided(standings[key], shown[key], face, terms.get(key))
        for key, face in faces.items()
    }


def _decided(
    standing: ProjectStanding, old: ProjectFace, new: ProjectFace, terms: Terms | None
) -> DecidedProject:
    confirmed = standing.status == "confirmed"
    founding = standing.founding
    basis = Basis(
        project_id=new.id,
        terms=terms if standing.status in _WITH_TERMS else None,
        counts=confirmed,
        founding=founding.place if confirmed and founding is not None else None,
    )
    anew = confirmed and old.status == "confirmed" and old.founding_txid != new.founding_txid
    return DecidedProject(basis, _ground(old) != _ground(new), anew)


def _ground(face: ProjectFace) -> tuple[object, ...]:
    return (face.status, face.event_id, face.founding_txid, face.founded_hash)


async def _standings(
    conn: AsyncConnection, shown: Mapping[str, ProjectFace], policy: Policy, tip: Tip | None
) -> dict[str, ProjectStanding]:
    founded = await foundings.foundings_of(conn, shown)
    named = [one.event_id for held in founded.values() for one in held if one.event_id is not None]
    found = await events.announcements_of(conn, shown, named)
    by_project: dict[str, list[Candidate]] = {key: [] for key in shown}
    by_event = {one.event_id: one for one in found}
    for one in found:
        if one.project_id in by_project:
            by_project[one.project_id].append(one)
    standings: dict[str, ProjectStanding] = {}
    for key in shown:
        held = founded.get(key, [])
        candidates = {one.event_id: one for one in by_project[key]}
        for founding in held:
            if founding.event_id is not None and founding.event_id in by_event:
                candidates[founding.event_id] = by_event[founding.event_id]
        reproducing = await _reproducing(conn, key, held, candidates.values(), policy)
        standings[key] = choose(key, held, tuple(candidates.values()), tip, reproducing.get)
    return standings


async def _reproducing(
    conn: AsyncConnection,
    project_id: str,
    held: Sequence[HeldFounding],
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
    paying = await txs.held_txs(conn, await coins.payments_to(conn, [project_id]))
    possible = [one.event_id for one in written[:_MOST_READINGS]]
    found: dict[str, tuple[int, int]] = {}
    for key, event in (await events.events_by_id(conn, possible)).items():
        terms = _terms_in(event, policy)
        first = None if terms is None else first_reproduced(terms, paying.values())
        if first is not None:
            found[key] = first
    return found


def _terms_in(event: Event, policy: Policy) -> Terms | None:
    verdict = judgement(event, policy.network)
    return verdict.terms if isinstance(verdict, Announcement) else None


async def _terms(
    conn: AsyncConnection, standings: Mapping[str, ProjectStanding], policy: Policy
) -> dict[str, Terms]:
    chosen = {key: one.event.event_id for key, one in standings.items() if one.event is not None}
    found = await events.events_by_id(conn, chosen.values())
    terms = {key: _terms_in(found[event_id], policy) for key, event_id in chosen.items()}
    # Terms of another project's event say nothing of this one.
    return {key: one for key, one in terms.items() if one is not None and one.project_id == key}


async def _profiles(
    conn: AsyncConnection, standings: Mapping[str, ProjectStanding], terms: Mapping[str, Terms]
) -> dict[str, Profile]:
    authors = {key: one.nostr_pubkey for key, one in terms.items()}
    for key, standing in standings.items():
        founding = standing.founding
        if key not in authors and founding is not None and founding.nostr_pubkey is not None:
            authors[key] = founding.nostr_pubkey
    contents = await events.profiles_of(conn, authors.values(), PROFILE)
    return {
        key: parse_profile(contents[author])
        for key, author in authors.items()
        if author in contents
    }

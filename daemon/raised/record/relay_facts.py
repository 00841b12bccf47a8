"""What relays say: events, who holds them, what they announce, withdraw and tell of a project."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import cursors, events, foundings, projects
from raised.domain.angor.identifier import program_of
from raised.domain.angor.network import Network
from raised.domain.angor.project_state import Candidate
from raised.domain.angor.terms import Announcement, RejectedEvent, check_announcement
from raised.domain.event import APP_DATA, DELETION, PROFILE, PROJECT, RELAY_LIST, Event
from raised.domain.observation import BackfillDone, EventsSeen
from raised.errors import InvalidInput
from raised.record.dirty import DirtySet, Policy

FEATURED_LIST: Final = 10001
DENY_LIST: Final = 30000
# Only the newest of an author counts, so one from the future would count for ever.
_REPLACEABLE: Final = frozenset({PROFILE, RELAY_LIST, FEATURED_LIST})
_ADDRESSABLE: Final = frozenset({APP_DATA, DENY_LIST})
_CLOCK_SLACK_SECONDS: Final = 900
# Of a d and of what a deletion names: PostgreSQL's indexes hold no long keys.
_LONGEST_NAME: Final = 256
# Anybody may write any number of large events, and terms take more room than their text.
_LARGEST_REMEMBERED: Final = 8_192
_TAG_SIZE: Final = 64


async def apply_events(
    conn: AsyncConnection, seen: EventsSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Keep the new events of a page, and who holds the known ones."""
    offered = {one.id: one for one in seen.events if _is_keepable(one, seen.at)}
    known = await events.known_events(conn, [*offered, *seen.held])
    new = [one for key, one in offered.items() if key not in known]
    await events.add_events(conn, new, seen.at)
    if seen.relay:  # events from a file are held by no relay
        held = [*offered, *(one for one in seen.held if one in known)]
        gained = await events.add_event_relays(conn, held, seen.relay, seen.at)
        dirty.profile_changed |= await events.projects_with_event(conn, gained)
    if new:
        await _announce(conn, new, policy, dirty)
        await _withdraw(conn, [one for one in new if one.kind == DELETION], dirty)
        await _profile(conn, new, dirty)


async def apply_backfill(conn: AsyncConnection, done: BackfillDone) -> None:
    """Move the relay's cursor."""
    full_at = done.began_at if done.full else None
    await cursors.advance_cursor(conn, cursors.RELAY, done.relay, done.began_at, full_at)


async def check_named_events(
    conn: AsyncConnection, event_ids: Iterable[str], policy: Policy
) -> None:
    """Judge events that a founding transaction names, whatever their kind."""
    found = await events.unchecked_events(conn, event_ids)
    await events.add_announcements(
        conn, [candidate_of(one, policy.network) for one in found.values()]
    )


def check_event(event: Event, network: Network) -> Announcement | RejectedEvent:
    """What the rules say of an event as a project's; remembered, unless it is large."""
    size = len(event.content) + sum(_TAG_SIZE + sum(map(len, tag)) for tag in event.tags)
    judge = _remembered if size <= _LARGEST_REMEMBERED else check_announcement
    return judge(event, network)


_remembered = lru_cache(maxsize=512)(check_announcement)


def candidate_of(event: Event, network: Network) -> Candidate:
    """An event as a candidate; whether it was withdrawn is another matter."""
    verdict = check_event(event, network)
    if isinstance(verdict, Announcement):
        return Candidate(
            event.id,
            event.pubkey,
            event.created_at,
            verdict.terms.project_id,
            verdict.terms.founder_key.hex(),
            None,
            withdrawn=False,
        )
    return Candidate(
        event.id,
        event.pubkey,
        event.created_at,
        _claimed_project(event),
        None,
        verdict.reason,
        withdrawn=False,
    )


def _claimed_project(event: Event) -> str | None:
    """The identifier that a bad project event claims, if it is one at all."""
    try:
        claimed: object = json.loads(event.content)
    except (ValueError, RecursionError):
        return None
    named = claimed.get("projectIdentifier") if isinstance(claimed, dict) else None
    if not isinstance(named, str):
        return None
    try:
        program_of(named)
    except InvalidInput:
        return None
    return named.lower()


def _is_keepable(event: Event, now: int) -> bool:
    if "\0" in event.content:  # PostgreSQL's text has no NUL
        return False
    if event.kind in _REPLACEABLE or event.kind in _ADDRESSABLE:
        return event.created_at <= now + _CLOCK_SLACK_SECONDS
    return True


async def _announce(
    conn: AsyncConnection, new: Sequence[Event], policy: Policy, dirty: DirtySet
) -> None:
    naming = await foundings.projects_naming(conn, [one.id for one in new])
    candidates: list[Candidate] = []
    for one in new:
        dirty.projects |= naming.get(one.id, set())
        if one.id in naming or _may_announce(one):
            candidate = candidate_of(one, policy.network)
            if one.id in naming or candidate.project_id is not None:
                candidates.append(candidate)
    claimed = {one.project_id for one in candidates if one.project_id is not None}
    await projects.add_projects(conn, claimed, dirty.at)
    dirty.projects |= claimed
    await events.add_announcements(conn, candidates)


def _may_announce(event: Event) -> bool:
    """Kind 3030; before 2025-05-08 kind 30078, which serves all and sundry. Source: angor.md 5."""
    if event.kind == PROJECT:
        return True
    d = event.tag_values("d")
    return event.kind == APP_DATA and (not d or d[0] == "AngorApp")


async def _withdraw(conn: AsyncConnection, deletions: Sequence[Event], dirty: DirtySet) -> None:
    """Deletions count for what their author signed, whether it came already or comes later."""
    if not deletions:
        return
    targets: list[tuple[str, str, int]] = []
    for one in deletions:
        named = (*one.tag_values("e"), *one.tag_values("a"))
        names = [name for name in dict.fromkeys(named) if _is_name(name)]
        targets += [(name, one.pubkey, one.created_at) for name in names]
    await events.add_deletions(conn, targets)
    ids = [target for target, _, _ in targets]
    dirty.projects |= await events.projects_announced_by(conn, ids)
    for pubkey in dict.fromkeys(one.pubkey for one in deletions):
        for kind in (PROFILE, APP_DATA):
            await _choose_profiles(conn, pubkey, kind, dirty)


async def _profile(conn: AsyncConnection, new: Sequence[Event], dirty: DirtySet) -> None:
    """Let the newest of an author, kind and d count, then the lowest id. Source: NIP-01."""
    telling = [(d, one) for one in new if (d := _d_of(one)) is not None]
    if not telling:
        return
    alive = await _undeleted(conn, telling)
    standing = await events.current_profiles(conn, [one.pubkey for _, one in alive])
    best: dict[tuple[str, int, str], tuple[str, Event]] = {}
    for d, one in alive:
        key = (one.pubkey, one.kind, d)
        if key not in standing or _outranks(one, *standing[key]):
            best[key] = (d, one)
            standing[key] = (one.id, one.created_at)
    await events.put_profiles(conn, list(best.values()))
    await _mark_authors(conn, {one.pubkey for _, one in best.values()}, dirty)


async def _choose_profiles(conn: AsyncConnection, pubkey: str, kind: int, dirty: DirtySet) -> None:
    """Choose anew among all events of an author, after a deletion."""
    found = await events.events_without_content(conn, pubkey, kind)
    telling = [(d, one) for one in found if (d := _d_of(one)) is not None]
    alive = await _undeleted(conn, telling)
    alive.sort(key=lambda pair: (pair[1].created_at, _reversed_id(pair[1])))
    for d in {d for d, _ in telling} - {d for d, _ in alive}:
        await events.drop_profile(conn, pubkey, kind, d)
    best = {d: one.id for d, one in alive}
    whole = await events.events_by_id(conn, best.values())
    await events.put_profiles(conn, [(d, whole[key]) for d, key in best.items()])
    await _mark_authors(conn, {pubkey}, dirty)


async def _undeleted(
    conn: AsyncConnection, telling: Sequence[tuple[str, Event]]
) -> list[tuple[str, Event]]:
    addresses = {one.id: f"{one.kind}:{one.pubkey}:{d}" for d, one in telling}
    found = await events.deletions_of(conn, [*addresses.keys(), *addresses.values()])
    return [
        (d, one)
        for d, one in telling
        if (one.id, one.pubkey) not in found
        and one.created_at > found.get((addresses[one.id], one.pubkey), -1)
    ]


def _reversed_id(event: Event) -> int:
    """Of two events as new the one with the lowest id counts: it must come last."""
    return -int(event.id, 16)


def _outranks(event: Event, other_id: str, other_at: int) -> bool:
    return (-event.created_at, event.id) < (-other_at, other_id)


def _d_of(event: Event) -> str | None:
    """The d under which an event replaces others; None for kinds that replace nothing."""
    if event.kind in _REPLACEABLE:
        return ""
    if event.kind not in _ADDRESSABLE:
        return None
    d = (event.tag_values("d") or ("",))[0]
    return d if _is_name(d) else None


def _is_name(text: str) -> bool:
    return "\0" not in text and len(text.encode()) <= _LONGEST_NAME


async def _mark_authors(conn: AsyncConnection, pubkeys: set[str], dirty: DirtySet) -> None:
    found = await projects.projects_with_key(conn, pubkeys)
    dirty.profile_changed |= found.keys()
    dirty.projects |= found.keys()

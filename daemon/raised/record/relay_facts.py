"""Facts of relays: events, which relays have them, announcements, deletions and profiles."""

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
from raised.domain.event import (
    APP_DATA,
    DELETION,
    PROFILE,
    PROJECT,
    RELAY_LIST,
    Event,
    is_replaceable,
)
from raised.domain.observation import BackfillDone, EventsSeen, WantedAsked
from raised.errors import InvalidInput
from raised.record.dirty_set import DirtySet, Policy

FEATURED_LIST: Final = 10001
DENY_LIST: Final = 30000
_REPLACEABLE: Final = frozenset({PROFILE, RELAY_LIST, FEATURED_LIST})
_ADDRESSABLE: Final = frozenset({APP_DATA, DENY_LIST})
_CLOCK_SLACK_SECONDS: Final = 900
# Bytes of a d tag and of what a deletion names: PostgreSQL's indexes have no long keys.
_LONGEST_NAME: Final = 256
# Anybody may write any number of large events, and terms take more memory than their text.
_LARGEST_CACHED: Final = 8_192
_TAG_SIZE: Final = 64


async def apply_events(
    conn: AsyncConnection, seen: EventsSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Store the new events of a page, and that the relay has the known ones, too."""
    ahead = [event.id for event in seen.events if _would_replace_for_long(event, seen.at)]
    ignored = set(ahead) - (await foundings.projects_naming(conn, ahead)).keys()
    offered = {event.id: event for event in seen.events if event.id not in ignored}
    known = await events.known_events(conn, [*offered, *seen.held])
    new = [event for event_id, event in offered.items() if event_id not in known]
    await events.add_events(conn, new, seen.at)
    if seen.relay:  # events from a file are on no relay
        on_relay = [*offered, *(event_id for event_id in seen.held if event_id in known)]
        added = await events.add_event_relays(conn, on_relay, seen.relay, seen.at)
        dirty.profile_changed |= await events.projects_with_event(conn, added)
    if new:
        await _apply_announcements(conn, new, policy, dirty)
        deletions = [event for event in new if event.kind == DELETION]
        await _apply_deletions(conn, deletions, dirty)
        await _apply_profiles(conn, [event for event in new if event.id not in ahead], dirty)


async def apply_backfill(conn: AsyncConnection, done: BackfillDone) -> None:
    """Advance the relay's cursor. One that is ahead of our clock was set by a wrong clock."""
    full_at = done.began_at if done.full else None
    known = await cursors.cursor_of(conn, cursors.RELAY, done.relay)
    if known is not None and known[0] > done.at:
        await cursors.drop_cursor(conn, cursors.RELAY, done.relay)
    await cursors.advance_cursor(conn, cursors.RELAY, done.relay, done.began_at, full_at)


async def apply_wanted(conn: AsyncConnection, asked: WantedAsked) -> None:
    """Store for what the relay was asked beside its back-fills."""
    await cursors.set_cursor(
        conn, cursors.WANTED, asked.relay, asked.events, int(asked.after_first_read)
    )


async def check_named_events(
    conn: AsyncConnection, event_ids: Iterable[str], policy: Policy
) -> None:
    """Check events that a founding transaction names as announcements, whatever their kind."""
    unchecked = await events.unchecked_events(conn, event_ids)
    candidates = [candidate_of(event, policy.network) for event in unchecked.values()]
    await events.add_announcements(conn, candidates)


def check_event(event: Event, network: Network) -> Announcement | RejectedEvent:
    """An event as the announcement of a project; cached, unless it is large."""
    size = len(event.content) + sum(_TAG_SIZE + sum(map(len, tag)) for tag in event.tags)
    check = _check_cached if size <= _LARGEST_CACHED else check_announcement
    return check(event, network)


_check_cached = lru_cache(maxsize=512)(check_announcement)


def candidate_of(event: Event, network: Network) -> Candidate:
    """An event as a candidate for a project's terms; whether it was deleted is looked up later."""
    result = check_event(event, network)
    if isinstance(result, Announcement):
        return Candidate(
            event.id,
            event.pubkey,
            event.created_at,
            result.terms.project_id,
            result.terms.founder_key.hex(),
            None,
            withdrawn=False,
        )
    return Candidate(
        event.id,
        event.pubkey,
        event.created_at,
        _claimed_project(event),
        None,
        result.reason,
        withdrawn=False,
    )


def _claimed_project(event: Event) -> str | None:
    """The project identifier that a rejected event claims; None when it is not one."""
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


def _would_replace_for_long(event: Event, now: int) -> bool:
    """Whether it would count for its author until a time that is still to come."""
    return is_replaceable(event.kind) and event.created_at > now + _CLOCK_SLACK_SECONDS


async def _apply_announcements(
    conn: AsyncConnection, new: Sequence[Event], policy: Policy, dirty: DirtySet
) -> None:
    naming = await foundings.projects_naming(conn, [event.id for event in new])
    candidates: list[Candidate] = []
    for event in new:
        dirty.projects |= naming.get(event.id, set())
        if event.id in naming or _may_announce(event):
            candidate = candidate_of(event, policy.network)
            if event.id in naming or candidate.project_id is not None:
                candidates.append(candidate)
    claimed = {candidate.project_id for candidate in candidates if candidate.project_id is not None}
    await projects.add_projects(conn, claimed, dirty.at)
    dirty.projects |= claimed
    await events.add_announcements(conn, candidates)


def _may_announce(event: Event) -> bool:
    """Kind 3030; before 2025-05-08 kind 30078, which any application uses. docs/angor.md 5."""
    if event.kind == PROJECT:
        return True
    d = event.tag_values("d")
    return event.kind == APP_DATA and (not d or d[0] == "AngorApp")


async def _apply_deletions(
    conn: AsyncConnection, deletions: Sequence[Event], dirty: DirtySet
) -> None:
    """Deletions count for events of their author, whether stored already or to come. NIP-09."""
    if not deletions:
        return
    targets: list[tuple[str, str, int]] = []
    for deletion in deletions:
        named = (*deletion.tag_values("e"), *deletion.tag_values("a"))
        names = [name for name in dict.fromkeys(named) if _is_name(name)]
        targets += [(name, deletion.pubkey, deletion.created_at) for name in names]
    await events.add_deletions(conn, targets)
    ids = [target for target, _, _ in targets]
    dirty.projects |= await events.projects_announced_by(conn, ids)
    for pubkey in dict.fromkeys(deletion.pubkey for deletion in deletions):
        for kind in (PROFILE, APP_DATA):
            await _choose_profiles(conn, pubkey, kind, dirty)


async def _apply_profiles(conn: AsyncConnection, new: Sequence[Event], dirty: DirtySet) -> None:
    """Let the newest of an author, kind and d count, then the lowest id. Source: NIP-01."""
    replacing = _replacing(new)
    if not replacing:
        return
    undeleted = await _undeleted(conn, replacing)
    current = await events.current_profiles(conn, [event.pubkey for _, event in undeleted])
    newest: dict[tuple[str, int, str], tuple[str, Event]] = {}
    for d, event in undeleted:
        key = (event.pubkey, event.kind, d)
        if key not in current or _outranks(event, *current[key]):
            newest[key] = (d, event)
            current[key] = (event.id, event.created_at)
    await events.put_profiles(conn, list(newest.values()))
    await _mark_authors(conn, {event.pubkey for _, event in newest.values()}, dirty)


def _replacing(some: Iterable[Event]) -> list[tuple[str, Event]]:
    """Those of these events that replace others, each with its d."""
    return [(d, event) for event in some if (d := _d_of(event)) is not None]


async def _choose_profiles(conn: AsyncConnection, pubkey: str, kind: int, dirty: DirtySet) -> None:
    """Choose again among all events of an author, after a deletion."""
    written = await events.events_without_content(conn, pubkey, kind)
    replacing = _replacing(
        event for event in written if not _would_replace_for_long(event, dirty.at)
    )
    undeleted = await _undeleted(conn, replacing)
    undeleted.sort(key=lambda pair: (pair[1].created_at, _reversed_id(pair[1])))
    for d in {d for d, _ in replacing} - {d for d, _ in undeleted}:
        await events.drop_profile(conn, pubkey, kind, d)
    newest = {d: event.id for d, event in undeleted}  # the last of each d
    with_content = await events.events_by_id(conn, newest.values())
    await events.put_profiles(conn, [(d, with_content[key]) for d, key in newest.items()])
    await _mark_authors(conn, {pubkey}, dirty)


async def _undeleted(
    conn: AsyncConnection, replacing: Sequence[tuple[str, Event]]
) -> list[tuple[str, Event]]:
    """Those that their author deleted neither by id nor by address, then up to a time."""
    addresses = {event.id: f"{event.kind}:{event.pubkey}:{d}" for d, event in replacing}
    deleted = await events.deletions_of(conn, [*addresses.keys(), *addresses.values()])
    return [
        (d, event)
        for d, event in replacing
        if (event.id, event.pubkey) not in deleted
        and event.created_at > deleted.get((addresses[event.id], event.pubkey), -1)
    ]


def _reversed_id(event: Event) -> int:
    """Of two events of one time the one with the lowest id counts: it must come last."""
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
    concerned = await projects.projects_with_key(conn, pubkeys)
    dirty.profile_changed |= concerned.keys()
    dirty.projects |= concerned.keys()

"""A project as the API shows it, in lists and in the feed."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.bulk import rows_among
from raised.db.items.instant import Time, instant


class ProjectTotals(msgspec.Struct, frozen=True):
    raised_sats: int
    returned_sats: int
    net_sats: int
    locked_sats: int
    claimed_sats: int
    unknown_sats: int
    in_penalty_sats: int
    penalty_released_sats: int
    unconfirmed_sats: int


class Project(msgspec.Struct, frozen=True):
    id: str
    network: str
    type: Literal["invest", "fund", "subscribe"] | None
    version: int | None
    status: Literal["announced", "committed", "confirmed", "rejected", "event_missing"]
    reason: str | None
    name: str | None
    about: str | None
    picture: str | None
    founder_key: str | None
    nostr_pubkey: str | None
    event_id: str | None
    founding_txid: str | None
    founded_height: int | None
    created_at: Time | None
    start_at: Time | None
    end_at: Time | None
    expiry_at: Time | None
    penalty_days: int | None
    target_sats: int | None
    percent: float | None
    reached_at: Time | None
    flags: list[str]
    candidates: int
    relays: int
    totals: ProjectTotals
    investors: int
    investments: int
    next_stage_at: Time | None
    campaign: str


def percent_of(raised_sats: int, target_sats: int | None) -> float | None:
    """What was raised of a target, cut to one decimal; None without a target."""
    if not target_sats:
        return None
    return raised_sats * 1000 // target_sats / 10


async def project_items(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, Project]:
    """Projects by identifier, in the order of `ids`; unknown ones are left out."""
    wanted = list(dict.fromkeys(ids))
    rows = await rows_among(conn, _statement(), schema.project.c.id, wanted)
    projects = {row.id: _project(row) for row in rows}
    return {key: projects[key] for key in wanted if key in projects}


def _statement() -> Select[Any]:
    relays = (
        select(func.count())
        .select_from(schema.event_relay)
        .where(schema.event_relay.c.event_id == schema.project.c.event_id)
        .scalar_subquery()
    )
    network = select(schema.meta.c.value).where(schema.meta.c.key == "network").scalar_subquery()
    member = schema.campaign_project
    return select(
        schema.project,
        relays.label("relays"),
        network.label("network_name"),
        func.coalesce(member.c.slug, schema.project.c.id).label("campaign"),
    ).outerjoin(member, member.c.project_id == schema.project.c.id)


def _project(row: Row[Any]) -> Project:
    return Project(
        id=row.id,
        network=row.network_name,
        type=row.type,
        version=row.version,
        status=row.status,
        reason=row.reason,
        name=row.name,
        about=row.about,
        picture=row.picture,
        founder_key=row.founder_key,
        nostr_pubkey=row.nostr_pubkey,
        event_id=row.event_id,
        founding_txid=row.founding_txid,
        founded_height=row.founded_height,
        created_at=instant(row.created_at),
        start_at=instant(row.start_at),
        end_at=instant(row.end_at),
        expiry_at=instant(row.expiry_at),
        penalty_days=row.penalty_days,
        target_sats=row.target_sats,
        percent=percent_of(row.raised_sats, row.target_sats),
        reached_at=instant(row.reached_at),
        flags=msgspec.json.decode(row.flags),
        candidates=row.candidates,
        relays=row.relays,
        totals=_totals(row),
        investors=row.investors,
        investments=row.investments,
        next_stage_at=instant(row.next_stage_at),
        campaign=row.campaign,
    )


def _totals(row: Row[Any]) -> ProjectTotals:
    """The totals of one project: raised = locked + claimed + unknown + returned."""
    returned = (
        row.recovery_sats
        + row.unfunded_release_sats
        + row.penalty_free_recovery_sats
        + row.end_of_project_sats
    )
    net = row.raised_sats - returned
    return ProjectTotals(
        raised_sats=row.raised_sats,
        returned_sats=returned,
        net_sats=net,
        locked_sats=net - row.claimed_sats - row.unknown_sats,
        claimed_sats=row.claimed_sats,
        unknown_sats=row.unknown_sats,
        in_penalty_sats=row.recovery_sats - row.penalty_released_sats,
        penalty_released_sats=row.penalty_released_sats,
        unconfirmed_sats=row.unconfirmed_sats,
    )

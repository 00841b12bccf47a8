"""The items of the API: each noun of the record as its route shows it.

The one place that renders them (beside `invoice_items`), because the feed keeps the item of every
change as it was then: the writer calls these within its transaction, the API for its answers.
Batched: a few statements whatever the number of items. Times are RFC 3339 UTC, amounts integers,
every key is always there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.items.instant import instant

Item = dict[str, object]

# Bound parameters of one statement; SQLite's oldest limit is 999.
_BATCH = 500


def percent_of(raised_sats: int, target_sats: int | None) -> float | None:
    """What was raised of a target, cut to one decimal; None without a target."""
    if not target_sats:
        return None
    return raised_sats * 1000 // target_sats / 10


def project_totals(row: Row[Any]) -> Item:
    """The totals of one project from its row: raised = locked + claimed + unknown + returned."""
    returned = (
        row.recovery_sats
        + row.unfunded_release_sats
        + row.penalty_free_recovery_sats
        + row.end_of_project_sats
    )
    net = row.raised_sats - returned
    return {
        "raised_sats": row.raised_sats,
        "returned_sats": returned,
        "net_sats": net,
        "locked_sats": net - row.claimed_sats - row.unknown_sats,
        "claimed_sats": row.claimed_sats,
        "unknown_sats": row.unknown_sats,
        "in_penalty_sats": row.recovery_sats - row.penalty_released_sats,
        "penalty_released_sats": row.penalty_released_sats,
        "unconfirmed_sats": row.unconfirmed_sats,
    }


async def project_items(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, Item]:
    """Project items by identifier; those the record does not know are left out."""
    wanted = list(dict.fromkeys(ids))
    holders = (
        select(func.count())
        .select_from(schema.event_relay)
        .where(schema.event_relay.c.event_id == schema.project.c.event_id)
        .scalar_subquery()
    )
    network = select(schema.meta.c.value).where(schema.meta.c.key == "network").scalar_subquery()
    member = schema.campaign_project
    statement = select(
        schema.project,
        holders.label("held_by"),
        network.label("network_name"),
        func.coalesce(member.c.slug, schema.project.c.id).label("campaign"),
    ).outerjoin(member, member.c.project_id == schema.project.c.id)
    rows = await _batched(conn, statement, schema.project.c.id, wanted)
    found = {row.id: _project_item(row) for row in rows}
    return {key: found[key] for key in wanted if key in found}


async def investment_items(conn: AsyncConnection, txids: Iterable[str]) -> dict[str, Item]:
    """Investment items by txid, with stages and penalties; unknown ones are left out."""
    wanted = list(dict.fromkeys(txids))
    investment, output, penalty = schema.investment, schema.stage_output, schema.penalty_output
    rows = await _batched(conn, select(investment), investment.c.txid, wanted)
    penalties = {
        (row.investment_txid, row.stage_vout, row.txid): row
        for row in await _batched(conn, select(penalty), penalty.c.investment_txid, wanted)
    }
    stages: defaultdict[str, list[Item]] = defaultdict(list)
    # `index` is a method of rows
    ordered = select(output, output.c.index.label("place")).order_by(
        output.c.txid, output.c.index, output.c.vout
    )
    for row in await _batched(conn, ordered, output.c.txid, wanted):
        held = penalties.get((row.txid, row.vout, row.spent_txid))
        stages[row.txid].append(_stage_output_item(row, held))
    found = {row.txid: _investment_item(row, stages[row.txid]) for row in rows}
    return {key: found[key] for key in wanted if key in found}


async def relay_items(conn: AsyncConnection, names: Iterable[str] | None = None) -> dict[str, Item]:
    """Relay items by address, in the order of addresses; all of them without `names`."""
    cursor = schema.cursor
    places = select(cursor).where(cursor.c.source == "relay")
    cursors = {row.name: row.value for row in await conn.execute(places)}
    return {
        row.name: health_item(row) | _relay_facts(_facts(row), cursors.get(row.name))
        for row in await _sources(conn, schema.relay, names)
    }


async def explorer_items(
    conn: AsyncConnection, names: Iterable[str] | None = None
) -> dict[str, Item]:
    """Explorer items by address, in the order of addresses; all of them without `names`."""
    return {
        row.name: health_item(row) | _explorer_facts(_facts(row))
        for row in await _sources(conn, schema.explorer, names)
    }


def reorg_item(lost: tuple[int, str], ancestor: tuple[int, str]) -> Item:
    """What a `reorg` change says: from the lost tip to the common ancestor."""
    return {
        "from": {"height": lost[0], "hash": lost[1]},
        "to": {"height": ancestor[0], "hash": ancestor[1]},
        "depth": lost[0] - ancestor[0],
    }


def _project_item(row: Row[Any]) -> Item:
    return {
        "id": row.id,
        "network": row.network_name,
        "type": row.type,
        "version": row.version,
        "status": row.status,
        "reason": row.reason,
        "name": row.name,
        "about": row.about,
        "picture": row.picture,
        "founder_key": row.founder_key,
        "nostr_pubkey": row.nostr_pubkey,
        "event_id": row.event_id,
        "founding_txid": row.founding_txid,
        "founded_height": row.founded_height,
        "created_at": instant(row.created_at),
        "start_at": instant(row.start_at),
        "end_at": instant(row.end_at),
        "expiry_at": instant(row.expiry_at),
        "penalty_days": row.penalty_days,
        "target_sats": row.target_sats,
        "percent": percent_of(row.raised_sats, row.target_sats),
        "reached_at": instant(row.reached_at),
        "flags": msgspec.json.decode(row.flags),
        "candidates": row.candidates,
        "relays": row.held_by,
        "totals": project_totals(row),
        "investors": row.investors,
        "investments": row.investments,
        "next_stage_at": instant(row.next_stage_at),
        "campaign": row.campaign,
    }


def _investment_item(row: Row[Any], stages: list[Item]) -> Item:
    return {
        "txid": row.txid,
        "project_id": row.project_id,
        "status": row.status,
        "reason": row.reason,
        "flags": msgspec.json.decode(row.flags),
        "investor_key": row.investor_key,
        "seeder": row.seeder,
        "amount_sats": row.amount_sats,
        "fee_sats": row.fee_sats,
        "height": row.height,
        "block_hash": row.block_hash,
        "at": instant(row.at),
        "stages": stages,
    }


def _stage_output_item(row: Row[Any], penalty: Row[Any] | None) -> Item:
    return {
        "index": row.place,
        "vout": row.vout,
        "value_sats": row.value_sats,
        "release_at": instant(row.release_at),
        "expiry_at": instant(row.expiry_at),
        "state": row.state,
        "spent_txid": row.spent_txid,
        "spent_height": row.spent_height,
        "spent_at": instant(row.spent_at),
        "penalty": None if penalty is None else _penalty_item(penalty),
    }


def _penalty_item(row: Row[Any]) -> Item:
    return {
        "txid": row.txid,
        "vout": row.vout,
        "state": row.state,
        "matures_at": instant(row.matures_at),
        "released_txid": row.released_txid,
        "released_at": instant(row.released_at),
    }


def health_item(row: Row[Any]) -> Item:
    """What sources of every kind have."""
    error = None
    if row.last_error_code is not None:
        error = {"code": row.last_error_code, "detail": row.last_error_detail}
    return {
        "name": row.name,
        "state": row.state,
        "since_at": instant(row.since_at),
        "last_success_at": instant(row.last_success_at),
        "last_error": error,
        "latency_ms": row.latency_ms,
        "errors": msgspec.json.decode(row.errors),
    }


def _relay_facts(facts: dict[str, Any], cursor: int | None) -> Item:
    return {
        "last_event_at": instant(facts.get("last_event_at")),
        "cursor_at": instant(cursor),
        "backfill_complete": bool(facts.get("backfill_complete", False)),
        "events": facts.get("events", {}),
        "forged": facts.get("forged", 0),
        "auth": facts.get("auth"),
    }


def _explorer_facts(facts: dict[str, Any]) -> Item:
    return {
        "flavour": facts.get("flavour"),
        "height": facts.get("height"),
        "hash": facts.get("hash"),
        "verify": facts.get("verify"),
        "requests_today": facts.get("requests_today", 0),
        "disagrees_with": facts.get("disagrees_with", []),
    }


def _facts(row: Row[Any]) -> dict[str, Any]:
    return msgspec.json.decode(row.facts, type=dict[str, Any])


async def _sources(
    conn: AsyncConnection, table: Table, names: Iterable[str] | None
) -> Sequence[Row[Any]]:
    statement = select(table).order_by(table.c.name)
    if names is None:
        return (await conn.execute(statement)).all()
    return await _batched(conn, statement, table.c.name, list(names))


async def _batched(
    conn: AsyncConnection,
    statement: Select[Any],
    column: ColumnElement[Any],
    keys: Sequence[object],
) -> list[Row[Any]]:
    """All rows whose `column` is among `keys`, a statement for each batch of them."""
    rows: list[Row[Any]] = []
    for batch in _batches(keys):
        rows.extend(await conn.execute(statement.where(column.in_(batch))))
    return rows


def _batches(keys: Sequence[object]) -> Iterator[list[object]]:
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        yield batch

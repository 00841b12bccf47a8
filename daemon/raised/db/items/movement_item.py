"""A row of the ledger as the API shows it. It never changes once it is booked."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.bulk import rows_among
from raised.db.items.instant import Time, instant
from raised.domain.ledger import MSATS_PER_SAT, RAISING_KINDS, RETURNING_KINDS, REVERSAL


class Movement(msgspec.Struct, frozen=True):
    id: int
    seq: int
    kind: str
    reverses: int | None
    amount_msats: str  # as text: it may be more than a number of JavaScript holds exactly
    amount_sats: int
    net_sats: int
    at: Time | None
    recorded_at: Time | None
    height: int | None
    block_hash: str | None
    source: Literal["angor", "btcpay"]
    campaign: str | None
    project_id: str | None
    store: str | None
    party: str | None
    reference: str | None
    txid: str | None


async def movement_items(conn: AsyncConnection, ids: Iterable[int]) -> dict[int, Movement]:
    """Movements by id, in the order of `ids`; unknown ones are left out."""
    wanted = list(dict.fromkeys(ids))
    rows = await rows_among(conn, _statement(), schema.movement.c.id, wanted)
    movements = {row.id: _movement(row) for row in rows}
    return {key: movements[key] for key in wanted if key in movements}


def _statement() -> Select[Any]:
    movement, undone = schema.movement, schema.movement.alias("undone")
    member, invoice = schema.campaign_project, schema.invoice
    paid = (invoice.c.store == movement.c.store) & (invoice.c.id == movement.c.invoice_id)
    campaign = func.coalesce(
        member.c.slug, movement.c.project_id, invoice.c.campaign, movement.c.store
    )
    rows = (
        movement.outerjoin(undone, undone.c.id == movement.c.reverses)
        .outerjoin(member, member.c.project_id == movement.c.project_id)
        .outerjoin(invoice, paid)
    )
    columns = (movement, undone.c.kind.label("undone_kind"), campaign.label("campaign"))
    return select(*columns).select_from(rows)


def _movement(row: Row[Any]) -> Movement:
    return Movement(
        id=row.id,
        seq=row.seq,
        kind=row.kind,
        reverses=row.reverses,
        amount_msats=str(row.amount_msats),
        amount_sats=row.amount_msats // MSATS_PER_SAT,
        net_sats=_net_sats(row),
        at=instant(row.at),
        recorded_at=instant(row.recorded_at),
        height=row.height,
        block_hash=row.block_hash,
        source=row.source,
        campaign=row.campaign,
        project_id=row.project_id,
        store=row.store,
        party=row.party,
        reference=row.reference,
        txid=row.txid,
    )


def _net_sats(row: Row[Any]) -> int:
    """What a row does to net; a reversal does the opposite of the row that it undoes."""
    if row.kind == REVERSAL:
        return -_net_effect(row.undone_kind, row.amount_msats)
    return _net_effect(row.kind, row.amount_msats)


def _net_effect(kind: str, amount_msats: int) -> int:
    if kind in RAISING_KINDS:
        return amount_msats // MSATS_PER_SAT
    if kind in RETURNING_KINDS:
        return -(amount_msats // MSATS_PER_SAT)
    return 0

"""An investment as the API shows it: the transaction, its stage outputs and their penalties."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import schema
from raised.db.bulk import rows_among
from raised.db.items.instant import Time, instant


class Penalty(msgspec.Struct, frozen=True):
    txid: str
    vout: int
    state: Literal["in_penalty", "penalty_matured", "penalty_released"]
    matures_at: Time | None
    released_txid: str | None
    released_at: Time | None


class StageOutput(msgspec.Struct, frozen=True):
    index: int
    vout: int
    value_sats: int
    release_at: Time | None
    expiry_at: Time | None
    state: Literal[
        "locked",
        "claim",
        "recovery",
        "unfunded_release",
        "penalty_free_recovery",
        "end_of_project",
        "unknown",
    ]
    spent_txid: str | None
    spent_height: int | None
    spent_at: Time | None
    penalty: Penalty | None


class Investment(msgspec.Struct, frozen=True):
    txid: str
    project_id: str
    status: Literal["confirmed", "unconfirmed", "dropped", "unverified", "rejected"]
    reason: str | None
    flags: list[str]
    investor_key: str | None
    seeder: bool
    amount_sats: int
    fee_sats: int
    height: int | None
    block_hash: str | None
    at: Time | None
    stages: list[StageOutput]


async def investment_items(conn: AsyncConnection, txids: Iterable[str]) -> dict[str, Investment]:
    """Investments by txid, in the order of `txids`; unknown ones are left out."""
    wanted = list(dict.fromkeys(txids))
    investment = schema.investment
    rows = await rows_among(conn, select(investment), investment.c.txid, wanted)
    stages = await _stage_outputs(conn, wanted)
    investments = {row.txid: _investment(row, stages.get(row.txid, [])) for row in rows}
    return {key: investments[key] for key in wanted if key in investments}


async def _stage_outputs(
    conn: AsyncConnection, txids: Iterable[str]
) -> dict[str, list[StageOutput]]:
    """The stage outputs of each investment, by index and output."""
    output = schema.stage_output.c
    penalties = await _penalties(conn, txids)
    # `index` is a method of rows
    statement = select(schema.stage_output, output.index.label("stage_index"))
    ordered = statement.order_by(output.txid, output.index, output.vout)
    stages: defaultdict[str, list[StageOutput]] = defaultdict(list)
    for row in await rows_among(conn, ordered, output.txid, txids):
        penalty = penalties.get((row.txid, row.vout, row.spent_txid))
        stages[row.txid].append(_stage_output(row, penalty))
    return stages


async def _penalties(
    conn: AsyncConnection, txids: Iterable[str]
) -> dict[tuple[str, int, str], Penalty]:
    """Penalties by investment, its stage output, and the transaction that recovered it."""
    penalty = schema.penalty_output
    rows = await rows_among(conn, select(penalty), penalty.c.investment_txid, txids)
    return {(row.investment_txid, row.stage_vout, row.txid): _penalty(row) for row in rows}


def _investment(row: Row[Any], stages: list[StageOutput]) -> Investment:
    return Investment(
        txid=row.txid,
        project_id=row.project_id,
        status=row.status,
        reason=row.reason,
        flags=msgspec.json.decode(row.flags),
        investor_key=row.investor_key,
        seeder=row.seeder,
        amount_sats=row.amount_sats,
        fee_sats=row.fee_sats,
        height=row.height,
        block_hash=row.block_hash,
        at=instant(row.at),
        stages=stages,
    )


def _stage_output(row: Row[Any], penalty: Penalty | None) -> StageOutput:
    return StageOutput(
        index=row.stage_index,
        vout=row.vout,
        value_sats=row.value_sats,
        release_at=instant(row.release_at),
        expiry_at=instant(row.expiry_at),
        state=row.state,
        spent_txid=row.spent_txid,
        spent_height=row.spent_height,
        spent_at=instant(row.spent_at),
        penalty=penalty,
    )


def _penalty(row: Row[Any]) -> Penalty:
    return Penalty(
        txid=row.txid,
        vout=row.vout,
        state=row.state,
        matures_at=instant(row.matures_at),
        released_txid=row.released_txid,
        released_at=instant(row.released_at),
    )

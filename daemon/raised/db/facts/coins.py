"""Coins: the outpoints that are watched, and the transactions that pay projects."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, rows_among
from raised.db.schema import coin, tx_input, tx_project
from raised.domain.angor.watched_outputs import CoinKind, kind_of_coin
from raised.domain.bitcoin.tx import OutPoint, Txid


@dataclass(frozen=True, slots=True)
class Coin:
    """A watched outpoint; a penalty coin belongs to the investment whose stage went in."""

    outpoint: OutPoint
    project_id: str
    investment_txid: Txid
    value_sats: int
    script_pubkey: bytes

    @property
    def kind(self) -> CoinKind:
        """Stage or penalty."""
        return kind_of_coin(self.script_pubkey)


async def add_coins(conn: AsyncConnection, coins: Sequence[Coin]) -> None:
    """Watch these outpoints from now on."""
    rows = [
        {
            "txid": new.outpoint.txid,
            "vout": new.outpoint.vout,
            "project_id": new.project_id,
            "investment_txid": new.investment_txid,
            "value_sats": new.value_sats,
            "script_pubkey": new.script_pubkey,
        }
        for new in coins
    ]
    await add(conn, coin, rows)


async def coins_of(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[OutPoint, Coin]:
    """The watched outputs of these transactions."""
    watched = {}
    for row in await rows_among(conn, select(coin), coin.c.txid, txids):
        outpoint = OutPoint(row.txid, row.vout)
        watched[outpoint] = Coin(
            outpoint, row.project_id, row.investment_txid, row.value_sats, row.script_pubkey
        )
    return watched


async def investments_spent_by(conn: AsyncConnection, txids: Iterable[Txid]) -> set[Txid]:
    """The investments of which these transactions spend a stage or penalty coin."""
    spends = and_(coin.c.txid == tx_input.c.prev_txid, coin.c.vout == tx_input.c.prev_vout)
    statement = select(coin.c.investment_txid).join(tx_input, spends).distinct()
    rows = await rows_among(conn, statement, tx_input.c.txid, txids)
    return {row.investment_txid for row in rows}


async def add_payments(conn: AsyncConnection, payments: Iterable[tuple[Txid, str]]) -> None:
    """Note that these transactions pay these projects."""
    rows = [{"txid": txid, "project_id": project_id} for txid, project_id in payments]
    await add(conn, tx_project, rows)


async def projects_paid_by(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[str]]:
    """The projects that these transactions pay."""
    paid: defaultdict[Txid, set[str]] = defaultdict(set)
    for row in await rows_among(conn, select(tx_project), tx_project.c.txid, txids):
        paid[row.txid].add(row.project_id)
    return paid


async def payments_to(conn: AsyncConnection, project_ids: Iterable[str]) -> set[Txid]:
    """The transactions that pay these projects."""
    statement = select(tx_project.c.txid)
    return {
        row.txid for row in await rows_among(conn, statement, tx_project.c.project_id, project_ids)
    }

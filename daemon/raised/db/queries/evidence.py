"""What the evidence of one project stands on: its event, and every transaction that concerns it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import rows_among
from raised.db.facts.blocks import tip_of
from raised.db.facts.coins import payments_to
from raised.db.facts.events import events_by_id
from raised.db.facts.txs import stored_txs
from raised.db.schema import block, coin, founding, meta, project, tx, tx_input
from raised.db.stored_settings import read_stored_settings
from raised.domain.angor.investment_state import StoredTx, Tip
from raised.domain.angor.network import Network, network_named
from raised.domain.audit.evidence import ProvenTx
from raised.domain.bitcoin.tx import Txid
from raised.domain.event import Event


@dataclass(frozen=True, slots=True)
class EvidenceFacts:
    """All that `raised.domain.audit.evidence.evidence` asks for."""

    network: Network
    project_id: str
    event: Event | None
    txs: tuple[ProvenTx, ...]
    tip: Tip | None


async def knows_project(conn: AsyncConnection, project_id: str) -> bool:
    """Whether the record knows this identifier."""
    return await conn.scalar(select(project.c.id).where(project.c.id == project_id)) is not None


async def read_evidence_facts(conn: AsyncConnection, project_id: str) -> EvidenceFacts:
    """What the record holds about a project that it knows."""
    settings = await read_stored_settings(conn)
    network = await conn.scalar(select(meta.c.value).where(meta.c.key == "network"))
    assert isinstance(network, str), "a record is bound to its network when it is made"
    event_id = await conn.scalar(select(project.c.event_id).where(project.c.id == project_id))
    events = {} if event_id is None else await events_by_id(conn, [event_id])
    return EvidenceFacts(
        network=network_named(network),
        project_id=project_id,
        event=events.get(event_id or ""),
        txs=await _proven(conn, await _concerned(conn, project_id)),
        tip=await tip_of(conn, settings.confirmations),
    )


async def _concerned(conn: AsyncConnection, project_id: str) -> set[Txid]:
    """What pays the project, founds it, or spends a coin of its investors."""
    founded = select(founding.c.txid).where(founding.c.project_id == project_id)
    spends = (
        select(tx_input.c.txid)
        .join(coin, (coin.c.txid == tx_input.c.prev_txid) & (coin.c.vout == tx_input.c.prev_vout))
        .where(coin.c.project_id == project_id)
    )
    found = await payments_to(conn, [project_id])
    for statement in (founded, spends):
        found |= {str(txid) for txid in await conn.scalars(statement)}
    return found


async def _proven(conn: AsyncConnection, txids: Iterable[Txid]) -> tuple[ProvenTx, ...]:
    held = await stored_txs(conn, txids)
    columns = select(tx.c.txid, tx.c.siblings, tx.c.proven, block.c.header).select_from(
        tx.outerjoin(block, block.c.hash == tx.c.block_hash)
    )
    rows = await rows_among(conn, columns, tx.c.txid, held)
    return tuple(_proof(held[row.txid], row) for row in rows)


def _proof(held: StoredTx, row: Row[Any]) -> ProvenTx:
    siblings = None
    if row.siblings is not None:
        siblings = msgspec.json.decode(row.siblings, type=tuple[str, ...])
    return ProvenTx(held, row.header, siblings, raw_block=row.proven == "block")

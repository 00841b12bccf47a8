"""Founding transactions. Which of several decides is computed with the project."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, rows_among
from raised.db.schema import founding, tx
from raised.domain.angor.founding import Founding
from raised.domain.angor.investment_state import Place
from raised.domain.angor.project_state import StoredFounding
from raised.domain.bitcoin.tx import Txid


async def add_foundings(conn: AsyncConnection, foundings: Sequence[Founding]) -> None:
    """Add these founding transactions, whose projects are in the record."""
    rows = [
        {
            "txid": new.txid,
            "project_id": new.project_id,
            "founder_key": new.founder_key.hex(),
            "event_id": new.event_id,
            "nostr_pubkey": new.nostr_pubkey,
            "rule": new.rule,
        }
        for new in foundings
    ]
    await add(conn, founding, rows)


async def foundings_of(
    conn: AsyncConnection, project_ids: Iterable[str]
) -> dict[str, list[StoredFounding]]:
    """The founding transactions of these projects, confirmed or not."""
    columns = (tx.c.height, tx.c.block_hash, tx.c.position, tx.c.at, tx.c.gone_at)
    statement = select(founding, *columns).join(tx, tx.c.txid == founding.c.txid)
    stored: defaultdict[str, list[StoredFounding]] = defaultdict(list)
    for row in await rows_among(conn, statement, founding.c.project_id, project_ids):
        place = None
        if row.height is not None:
            place = Place(row.height, row.block_hash, row.position, row.at)
        own = StoredFounding(
            row.txid,
            row.founder_key,
            row.event_id,
            row.nostr_pubkey,
            place,
            row.gone_at is not None,
        )
        stored[row.project_id].append(own)
    return stored


async def founding_txids(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, str]:
    """Those of these transactions that found a project, with its identifier."""
    statement = select(founding.c.txid, founding.c.project_id)
    return {
        row.txid: row.project_id
        for row in await rows_among(conn, statement, founding.c.txid, txids)
    }


async def projects_naming(conn: AsyncConnection, event_ids: Iterable[str]) -> dict[str, set[str]]:
    """The projects whose founding transactions name these events, by event."""
    statement = select(founding.c.event_id, founding.c.project_id)
    naming: defaultdict[str, set[str]] = defaultdict(set)
    for row in await rows_among(conn, statement, founding.c.event_id, event_ids):
        naming[row.event_id].add(row.project_id)
    return naming

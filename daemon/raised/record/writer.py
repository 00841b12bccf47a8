"""The writer's loop: observations from the queue into the record, batch by batch."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Never

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import transact
from raised.db.facts.blocks import tip_of
from raised.domain.observation import (
    BackfillDone,
    BlockSeen,
    CampaignsConfigured,
    ClockTicked,
    DaemonStarted,
    DeliveriesDone,
    EventsSeen,
    GroupProblems,
    HistorySeen,
    InvoicesGone,
    InvoicesSeen,
    MempoolSeen,
    Observation,
    Progress,
    RefundsSeen,
    RetentionDue,
    RolledBack,
    SourceHealth,
    SourcesConfigured,
    StoreRead,
    SweepDone,
    SweepReached,
    TipSeen,
    WantedAsked,
)
from raised.record import (
    campaign_facts,
    chain_facts,
    config_facts,
    first_sync,
    health_facts,
    invoice_facts,
    refund_facts,
    relay_facts,
    retention,
)
from raised.record.dirty_set import DirtySet, Policy
from raised.record.recompute import recompute

# More in one transaction would make the readers of the feed wait for the first of them.
_MOST_AT_ONCE: Final = 32

_OfRelay = EventsSeen | BackfillDone | WantedAsked
_OfChain = BlockSeen | RolledBack | HistorySeen | TipSeen | MempoolSeen
_OfStore = (
    InvoicesSeen
    | InvoicesGone
    | SweepReached
    | SweepDone
    | StoreRead
    | RefundsSeen
    | DeliveriesDone
)
_OfDaemon = DaemonStarted | SourcesConfigured | CampaignsConfigured | RetentionDue
_OfHealth = SourceHealth | GroupProblems | Progress | ClockTicked


async def write_observations(
    observations: asyncio.Queue[Observation],
    engine: AsyncEngine,
    policy: Policy,
    committed: Callable[[Sequence[Observation], float], None] = lambda _batch, _seconds: None,
) -> Never:
    """Commit observations in the order they arrived, those that wait together in one transaction.

    `committed` is called after each commit with the batch and the seconds it took: sources may look
    at the record again.
    """
    while True:
        batch = [await observations.get()]
        while len(batch) < _MOST_AT_ONCE and not observations.empty():
            batch.append(observations.get_nowait())
        began = asyncio.get_running_loop().time()
        await transact(engine, apply_observations, batch, policy)
        for _ in batch:
            observations.task_done()
        committed(batch, asyncio.get_running_loop().time() - began)


async def apply_observations(
    conn: AsyncConnection, observations: Sequence[Observation], policy: Policy
) -> None:
    """Store the facts of these observations, then recompute all that depends on them."""
    dirty = DirtySet(
        at=max(observation.at for observation in observations),
        tip_before=await tip_of(conn, policy.confirmations),
    )
    for observation in observations:
        await _apply(conn, observation, policy, dirty)
    await first_sync.update(conn, observations, dirty)
    await recompute(conn, policy, dirty)


async def rewind(conn: AsyncConnection, height: int, at: int, policy: Policy) -> None:
    """Undo everything above this height, after a reorg deeper than finality; it is read again."""
    dirty = DirtySet(at=at, tip_before=await tip_of(conn, policy.confirmations))
    await chain_facts.rewind_to(conn, height, dirty)
    await recompute(conn, policy, dirty)


async def _apply(
    conn: AsyncConnection, observation: Observation, policy: Policy, dirty: DirtySet
) -> None:
    if isinstance(observation, _OfRelay):
        await _apply_of_relay(conn, observation, policy, dirty)
    elif isinstance(observation, _OfChain):
        await _apply_of_chain(conn, observation, policy, dirty)
    elif isinstance(observation, _OfStore):
        await _apply_of_store(conn, observation, dirty)
    elif isinstance(observation, _OfDaemon):
        await _apply_of_daemon(conn, observation, dirty)
    else:
        await _apply_of_health(conn, observation, dirty)


async def _apply_of_relay(
    conn: AsyncConnection, observation: _OfRelay, policy: Policy, dirty: DirtySet
) -> None:
    match observation:
        case EventsSeen():
            await relay_facts.apply_events(conn, observation, policy, dirty)
        case BackfillDone():
            await relay_facts.apply_backfill(conn, observation)
        case WantedAsked():
            await relay_facts.apply_wanted(conn, observation)


async def _apply_of_chain(
    conn: AsyncConnection, observation: _OfChain, policy: Policy, dirty: DirtySet
) -> None:
    match observation:
        case BlockSeen():
            await chain_facts.apply_block(conn, observation, policy, dirty)
        case RolledBack():
            await chain_facts.apply_rollback(conn, observation, dirty)
        case HistorySeen():
            await chain_facts.apply_history(conn, observation, policy, dirty)
        case TipSeen():
            await chain_facts.apply_tip(conn, observation, policy, dirty)
        case MempoolSeen():
            await chain_facts.apply_mempool(conn, observation, policy, dirty)


async def _apply_of_store(conn: AsyncConnection, observation: _OfStore, dirty: DirtySet) -> None:
    match observation:
        case InvoicesSeen():
            await invoice_facts.apply_invoices(conn, observation, dirty)
        case InvoicesGone():
            await invoice_facts.apply_gone(conn, observation, dirty)
        case SweepReached():
            await invoice_facts.apply_reached(conn, observation)
        case SweepDone():
            await invoice_facts.apply_sweep(conn, observation, dirty)
        case StoreRead():
            await invoice_facts.apply_read(conn, observation)
        case RefundsSeen():
            await refund_facts.apply_refunds(conn, observation, dirty)
        case DeliveriesDone():
            await refund_facts.apply_deliveries(conn, observation, dirty)


async def _apply_of_daemon(conn: AsyncConnection, observation: _OfDaemon, dirty: DirtySet) -> None:
    match observation:
        case DaemonStarted():
            await config_facts.apply_start(conn, observation)
        case SourcesConfigured():
            await config_facts.apply_sources(conn, observation)
        case CampaignsConfigured():
            await campaign_facts.apply_campaigns(conn, observation, dirty)
        case RetentionDue():
            await retention.apply_retention(conn, observation, dirty)


async def _apply_of_health(conn: AsyncConnection, observation: _OfHealth, dirty: DirtySet) -> None:
    match observation:
        case SourceHealth():
            await health_facts.apply_health(conn, observation, dirty)
        case GroupProblems():
            await health_facts.apply_group(conn, observation, dirty)
        case Progress():
            await health_facts.apply_progress(conn, observation)
        case ClockTicked():
            await health_facts.apply_tick(conn, observation)

"""Does a block cost what changes in it, whatever the record holds?

Two records, of 100 and of 10,000 confirmed projects, take turns at committing a block with the same
ten investments. Then the large one commits blocks with ten and with a hundred investments. All
projects, events and transactions are real by the rules; proof of work and input signatures are the
chain source's matter, not the writer's.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import open_writer, transact
from raised.db.upgrade import upgrade
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised.domain.event import event_from_json
from raised.domain.observation import BlockRef, BlockSeen, EventsSeen, Observation, PlacedTx
from raised.record import Policy, apply_observations
from raised_simnet.actors.announcing import project_event
from raised_simnet.actors.funding_txs import Pledge, founding_outputs, funding_tx
from raised_simnet.actors.keys import key_of
from raised_simnet.actors.project_plan import PlannedStage, ProjectPlan, ProjectType

SMALL, LARGE = 100, 10_000
FEW, MANY = 10, 100
ROUNDS = 15
START = 1_768_435_200
DAY = 86_400
POLICY = Policy(network_named("regtest"), confirmations=1, finality=100)


def plan_of(number: int) -> ProjectPlan:
    """The terms of one project."""
    stages = tuple(PlannedStage(share, START + days * DAY) for share, days in SHARES)
    return ProjectPlan(
        kind=ProjectType.INVEST,
        founder_key=key_of(1, f"founder {number}").public,
        recovery_key=key_of(1, f"recovery {number}").public,
        nostr_pubkey=key_of(1, f"author {number}").xonly.hex(),
        start_at=START,
        end_at=START + 300 * DAY,
        expiry_at=START + 600 * DAY,
        penalty_days=30,
        target=10_000_000,
        stages=stages,
    )


SHARES = [(Decimal(30), 320), (Decimal(30), 350), (Decimal(40), 380)]


class Record:
    """A record with so many projects, and the chain it follows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.height = 0
        self.coins = 0

    async def see(self, observation: Observation) -> float:
        """Seconds to commit it."""
        began = time.perf_counter()
        await transact(self.engine, apply_observations, [observation], POLICY)
        return time.perf_counter() - began

    def pay(self, outputs: Sequence[TxOut]) -> Tx:
        """A transaction with these outputs, from a coin of its own."""
        self.coins += 1
        outpoint = OutPoint(sha256(f"coin {self.coins}".encode()).hexdigest(), 0)
        return Tx(2, (TxIn(outpoint, b"", 0xFFFFFFFF),), tuple(outputs), 0)

    def block(self, txs: Sequence[Tx]) -> BlockSeen:
        """The next block, with these transactions."""
        self.height += 1
        block_hash, prev_hash = (
            sha256(f"block {height}".encode()).hexdigest()
            for height in (self.height, self.height - 1)
        )
        mined_at = START + 600 * self.height
        ref = BlockRef(self.height, block_hash, prev_hash, mined_at, bytes(80), mined_at, mined_at)
        placed = tuple(
            PlacedTx(tx, funding_tx, (), "block") for funding_tx, tx in enumerate(txs, 1)
        )
        return BlockSeen(ref, placed, "bench", mined_at)

    async def found(self, plans: Sequence[ProjectPlan]) -> None:
        """Announce and found these projects."""
        for first in range(0, len(plans), 500):
            some = plans[first : first + 500]
            events = [
                project_event(key_of(1, f"author {first + funding_tx}"), plan, START)
                for funding_tx, plan in enumerate(some)
            ]
            seen = tuple(event_from_json(dict(event)) for event in events)
            await self.see(EventsSeen("bench", START, seen))
            founding = [
                self.pay(founding_outputs(plan, event["id"]))
                for plan, event in zip(some, events, strict=True)
            ]
            await self.see(self.block(founding))

    def invested(self, plans: Sequence[ProjectPlan], label: str) -> BlockSeen:
        """A block with an investment in each of these projects."""
        txs = [
            self.pay(
                funding_tx(plan, Pledge(key_of(1, f"{label} {number}").public, 100_000)).outputs
            )
            for number, plan in enumerate(plans)
        ]
        return self.block(txs)


async def measure(directory: Path) -> None:
    """Build both records, time the blocks, print the lines."""
    plans = [plan_of(number) for number in range(LARGE)]
    records: list[Record] = []
    for size in (SMALL, LARGE):
        engine = open_writer(f"sqlite+aiosqlite:///{directory}/{size}.db")
        await upgrade(engine, "regtest")
        records.append(Record(engine))
        await records[-1].found(plans[:size])
    small, large = records
    few_small: list[float] = []
    few_large: list[float] = []
    many_large: list[float] = []
    for turn in range(ROUNDS + 1):
        times = (
            await small.see(small.invested(plans[:FEW], f"few {turn}")),
            await large.see(large.invested(plans[:FEW], f"few {turn}")),
            await large.see(large.invested(plans[:MANY], f"many {turn}")),
        )
        if turn:  # the first turn warms the caches
            for kept, seconds in zip((few_small, few_large, many_large), times, strict=True):
                kept.append(seconds)
    for record in records:
        await record.engine.dispose()
    say("growth_with_projects", few_large, few_small, f"same {FEW} changes at {SMALL} projects")
    say("growth_with_changes", many_large, few_large, f"{FEW} changes at {LARGE} projects")


def say(name: str, ours: list[float], reference: list[float], what: str) -> None:
    """One claim's line: the lower the ratio the better."""
    value, ground = statistics.median(ours), statistics.median(reference)
    line = {
        "name": name,
        "value": round(value * 1000, 2),
        "unit": "ms a block",
        "ratio": round(value / ground, 2),
        "reference": f"{what}: {ground * 1000:.2f} ms",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(measure(Path(made)))

"""Founding and investment transactions, their outputs. Source: docs/angor.md 4, 7.1."""

from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.actors.amount_split import fee_of, split_net
from raised_simnet.actors.op_returns import DynamicChoice, founding_mark, investor_mark
from raised_simnet.actors.project_plan import ProjectPlan
from raised_simnet.actors.stage_scripts import (
    StageScripts,
    end_leaf,
    founder_leaf,
    recover_leaf,
    seeder_leaves,
    stage_scripts,
)

FOUNDING_SATS: Final = 10001
_FIRST_STAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Pledge:
    """What an investor means to do; `choice` is for Fund and Subscribe, the hash for seeders."""

    investor_key: bytes
    gross: int
    secret_hash: bytes | None = None
    choice: DynamicChoice | None = None


@dataclass(frozen=True, slots=True)
class ClientQuirks:
    """How a client deviates from the standard one and is still honest, or nearly."""

    values: tuple[int, ...] | None = None
    fee: int | None = None
    expiry_at: int | None = None
    seeder_leaves: bool = True


@dataclass(frozen=True, slots=True)
class FundedStage:
    """A stage output before it has an outpoint."""

    value: int
    release_at: int
    expiry_at: int
    stage_scripts: StageScripts


@dataclass(frozen=True, slots=True)
class StageCoin:
    """A stage output on the chain."""

    outpoint: OutPoint
    stage: FundedStage

    @property
    def output(self) -> TxOut:
        """The output itself."""
        return TxOut(self.stage.value, self.stage.stage_scripts.script_pubkey)


@dataclass(frozen=True, slots=True)
class FundingTx:
    """An investment's outputs: fee, mark, stages; the wallet adds the change."""

    fee: TxOut
    mark: TxOut
    stages: tuple[FundedStage, ...]

    @property
    def outputs(self) -> tuple[TxOut, ...]:
        """In their order."""
        locked = (TxOut(stage.value, stage.stage_scripts.script_pubkey) for stage in self.stages)
        return (self.fee, self.mark, *locked)

    def coins(self, tx: Tx) -> tuple[StageCoin, ...]:
        """The stage outputs of the transaction that carries these outputs."""
        first = _FIRST_STAGE
        return tuple(StageCoin(OutPoint(tx.txid, first + k), s) for k, s in enumerate(self.stages))


def founding_outputs(plan: ProjectPlan, event_id: str) -> tuple[TxOut, ...]:
    """What announces a project on the chain."""
    mark = founding_mark(plan.founder_key, event_id)
    return (TxOut(FOUNDING_SATS, plan.address_script), TxOut(0, mark))


def funding_tx(
    plan: ProjectPlan, pledge: Pledge, habit: ClientQuirks = ClientQuirks()
) -> FundingTx:
    """The outputs of an investment by these terms."""
    fee = fee_of(pledge.gross) if habit.fee is None else habit.fee
    releases = plan.releases_for(pledge.choice)
    net = pledge.gross - fee_of(pledge.gross)
    values = habit.values or split_net(net, plan.percents_for(pledge.choice))
    expiry_at = habit.expiry_at or plan.expiry_for(pledge.gross)
    stages = tuple(
        FundedStage(
            value, release_at, expiry_at, _locked(plan, pledge, habit, release_at, expiry_at)
        )
        for value, release_at in zip(values, releases, strict=True)
    )
    mark = investor_mark(pledge.investor_key, pledge.secret_hash, pledge.choice)
    return FundingTx(TxOut(fee, plan.address_script), TxOut(0, mark), stages)


def _locked(
    plan: ProjectPlan, pledge: Pledge, habit: ClientQuirks, release_at: int, expiry_at: int
) -> StageScripts:
    investor = pledge.investor_key
    seeded = habit.seeder_leaves and pledge.secret_hash is None
    freeing = seeder_leaves(investor, plan.secrets_needed, plan.secret_hashes) if seeded else ()
    return stage_scripts(
        (
            founder_leaf(plan.founder_key, release_at),
            recover_leaf(plan.recovery_key, investor, pledge.secret_hash),
            end_leaf(investor, expiry_at),
            *freeing,
        )
    )

"""One project without a story: founded, invested in and left, a transaction at a time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.actors.amount_split import equal_percents
from raised_simnet.actors.announcing import project_event
from raised_simnet.actors.coin_pool import OwnedCoin
from raised_simnet.actors.funding_txs import (
    FundingTx,
    Pledge,
    StageCoin,
    founding_outputs,
    funding_tx,
)
from raised_simnet.actors.keys import Key, key_of
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.project_plan import PlannedStage, ProjectPlan, ProjectType
from raised_simnet.actors.stage_spends import RecoveryKeys, claim, penalty_output, recover
from raised_simnet.actors.wallet import Wallet
from raised_simnet.world import START

_DAY: Final = 86_400
_PENALTY_DAYS: Final = 10
_NETWORK_FEE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Investment:
    """An investment's transaction, and what is needed to spend it."""

    tx: Tx
    placement: FundingTx
    investor: Key

    @property
    def coins(self) -> tuple[StageCoin, ...]:
        """Its stages."""
        return self.placement.coins(self.tx)


@dataclass(frozen=True)
class SingleProject:
    """A project of type Invest, all its stages released already. It builds and sends nothing."""

    name: str = "project"
    stages: int = 3

    @cached_property
    def plan(self) -> ProjectPlan:
        """Its terms."""
        released = (START - (self.stages - n) * _DAY for n in range(self.stages))
        shares = equal_percents(self.stages)
        return ProjectPlan(
            kind=ProjectType.INVEST,
            founder_key=self._key("founder").public,
            recovery_key=self._key("recovery").public,
            nostr_pubkey=self._key("author").xonly.hex(),
            start_at=START - 300 * _DAY,
            end_at=START + 300 * _DAY,
            expiry_at=START + 600 * _DAY,
            penalty_days=_PENALTY_DAYS,
            target=1_000_000,
            stages=tuple(map(PlannedStage, shares, released)),
        )

    @property
    def project_id(self) -> str:
        """The identifier."""
        return self.plan.identifier

    @cached_property
    def event(self) -> Event:
        """What announces it."""
        return project_event(self._key("author"), self.plan, START - 300 * _DAY)

    def found(self, wallet: Wallet) -> Tx:
        """The founding transaction."""
        return wallet.pay(founding_outputs(self.plan, self.event["id"]))

    def invest(self, wallet: Wallet, who: str, gross: int = 100_000) -> Investment:
        """An investment."""
        investor = self._key(f"investor {who}")
        placement = funding_tx(self.plan, Pledge(investor.public, gross))
        return Investment(wallet.pay(placement.outputs), placement, investor)

    def claim(self, investment: Investment, stage: int = 0) -> Tx:
        """The founder takes a stage."""
        coin = investment.coins[stage]
        to = TxOut(coin.stage.value - _NETWORK_FEE, self._key("founder").address_script)
        return claim([coin], self._key("founder"), to)

    def recover(self, investment: Investment, wallet: Wallet, stage: int = -1) -> Tx:
        """Investor and founder move a stage to the penalty."""
        coin, paying = investment.coins[stage], wallet.take(1)[0]
        keys = RecoveryKeys(investment.investor, self._key("recovery"))
        to = penalty_output(coin, investment.investor.public, _PENALTY_DAYS)
        fee = OwnedCoin(OutPoint(*paying.outpoint), paying.output.value, Key(wallet.secret))
        return recover([coin], keys, [to], fee)

    def _key(self, role: str) -> Key:
        return key_of(1, f"{self.name} {role}")

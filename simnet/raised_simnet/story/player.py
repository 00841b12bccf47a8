"""Plays a story on a chain: makes every step's transaction, sends it, mines, reorganises."""

from collections.abc import Awaitable, Callable
from typing import Final, assert_never

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.actors.coin_pool import OwnedCoin, network_fee, pay, pay_exactly
from raised_simnet.actors.funding_txs import StageCoin
from raised_simnet.actors.keys import Key
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.stage_spends import (
    PenaltyCoin,
    claim,
    end,
    penalty_output,
    recover,
    release_penalty,
    spend_with_secrets,
)
from raised_simnet.actors.wallet import Wallet, fan_out
from raised_simnet.bitcoin.chain import SPACING as BLOCK_SPACING
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.reorg_branch import new_branch
from raised_simnet.btcpay.shop_player import ShopPlayer
from raised_simnet.btcpay.shop_steps import ShopStep
from raised_simnet.story.journal import Exit, Investment, Journal, PenaltyRelease
from raised_simnet.story.steps import (
    Address,
    ByClaim,
    ByEnd,
    ByRecovery,
    BySecrets,
    FreePenalty,
    GivesBack,
    Label,
    Leave,
    Mine,
    Pay,
    Penalty,
    Publish,
    Reorganise,
    StageRef,
    Step,
    Way,
)
from raised_simnet.story.storyboard import SPACING, Story

COIN_SATS: Final = 100_000_000
_SETUP_BLOCKS: Final = 150  # a world with a rich miner has fewer

Send = Callable[[Event, tuple[int, ...] | None], Awaitable[None]]


def chain_start(story: Story) -> int:
    """When the chain has to begin, so that there is a miner with coins when the story begins."""
    return story.start_at - _SETUP_BLOCKS * BLOCK_SPACING


class Player:
    """A story in performance. `book` is what has been done so far."""

    def __init__(
        self, chain: RegtestChain, story: Story, send: Send, counter: ShopPlayer | None = None
    ) -> None:
        self.book = Journal()
        self.counter = counter
        self._chain = chain
        self._story = story
        self._send = send
        self._waiting: dict[str, int] = {}
        self._turn = 0
        self._coin_pool: tuple[OwnedCoin, ...] = ()

    def prepare(self, miner: Wallet) -> None:
        """Let a miner give the actors their coins: one block of them, before the story's first."""
        keys = self._story.coin_keys
        tx = fan_out(miner, [key.address_script for key in keys], COIN_SATS)
        self._chain.accept(tx)
        self._chain.mine()
        self._coin_pool = tuple(
            OwnedCoin(OutPoint(tx.txid, vout), COIN_SATS, key) for vout, key in enumerate(keys)
        )

    async def perform(self, step: Step) -> None:
        """Let one step happen. Raises Rejected when the chain refuses: then the script is wrong."""
        await self._happen(step)
        if self.counter is not None:
            self.counter.look()

    async def _happen(self, step: Step) -> None:
        if isinstance(step, ShopStep):
            assert self.counter is not None, "a story with shops needs a server"
            self.counter.perform(step)
            return
        match step:
            case Publish():
                await self._send(step.event, step.relays)
                self.book.published.append(step)
            case Pay():
                self._pay(step)
            case Leave():
                self._leave(step)
            case FreePenalty():
                self._free(step)
            case Mine():
                self._mine(step.time)
            case Reorganise():
                self._reorganise(step)
            case _:
                assert_never(step)

    def _pay(self, step: Pay) -> None:
        coin = self._money(step.money)
        if step.exact:
            tx = pay_exactly([coin], step.outputs)
        else:
            tx = pay([coin], step.outputs, step.extra_fee)
        self._submit(tx, step.wait)
        self.book.paid[step.label] = Investment(tx, step.meaning)
        if isinstance(step.meaning, GivesBack) and self.counter is not None:
            self.counter.pay_out(step.meaning.offer, tx)

    def _money(self, money: int | Label) -> OwnedCoin:
        if isinstance(money, int):
            return self._coin_pool[money]
        claimed = self.book.tx(money)
        founder = self._claimant(money)
        return OwnedCoin(OutPoint(claimed.txid, 0), claimed.outputs[0].value, founder)

    def _claimant(self, label: Label) -> Key:
        steps = (s for s in self._story.steps if isinstance(s, Leave) and s.label == label)
        way = next(steps).way
        assert isinstance(way, ByClaim), "only claims pay for more"
        return way.founder

    def _leave(self, step: Leave) -> None:
        coins = [self._coin(ref) for ref in step.coins]
        tx = self._exit(coins, step.way)
        self._submit(tx, step.wait)
        self.book.note_exit(step, tx)

    def _exit(self, coins: list[StageCoin], way: Way) -> Tx:
        worth = sum(coin.stage.value for coin in coins) - network_fee(len(coins), 1)
        match way:
            case ByClaim(founder):
                return claim(coins, founder, TxOut(worth, founder.address_script))
            case ByEnd(investor):
                return end(coins, investor, TxOut(worth, investor.address_script))
            case BySecrets(investor, revealed):
                output = TxOut(worth, investor.address_script)
                return spend_with_secrets(coins, investor, revealed, output)
            case ByRecovery():
                pairs = zip(coins, way.destinations, strict=True)
                outputs = [_recovered(coin, to, way.keys.investor) for coin, to in pairs]
                return recover(coins, way.keys, outputs, self._coin_pool[way.fee_coin])

    def _coin(self, ref: StageRef) -> StageCoin:
        tx, meaning = self.book.invested(ref.label)
        return meaning.placement.coins(tx)[ref.index]

    def _free(self, step: FreePenalty) -> None:
        coins = [self._penalty_coin(step.recovery, vin) for vin in step.vins]
        worth = sum(coin.value for coin in coins) - network_fee(len(coins), 1)
        tx = release_penalty(coins, step.investor, TxOut(worth, step.investor.address_script))
        self._submit(tx, 0)
        self.book.freed[step.label] = PenaltyRelease(tx, step.recovery, step.vins)

    def _penalty_coin(self, recovery: Label, vin: int) -> PenaltyCoin:
        left = self.book.left[recovery]
        assert left.exits[vin] is Exit.RECOVERY, "only penalties are freed"
        step = next(s for s in self._story.steps if isinstance(s, Leave) and s.label == recovery)
        assert isinstance(step.way, ByRecovery), "a recovery"
        destination = step.way.destinations[vin]
        assert isinstance(destination, Penalty), "a penalty"
        value = self.book.value(left.coins[vin])
        return PenaltyCoin(OutPoint(left.tx.txid, vin), value, destination.days)

    def _submit(self, tx: Tx, wait: int) -> None:
        self._chain.accept(tx)
        if wait:
            self._waiting[tx.txid] = self._turn + wait

    def _mine(self, time: int) -> None:
        held: set[str] = set()
        chosen: list[Tx] = []
        for tx in self._chain.mempool:
            parents = {txin.outpoint.txid for txin in tx.inputs}
            if self._waiting.get(tx.txid, 0) > self._turn or parents & held:
                held.add(tx.txid)
            else:
                chosen.append(tx)
        self._chain.mine(chosen, time=time)
        if self.counter is not None:
            self.counter.clock.reach(time)
        self._turn += 1

    def _reorganise(self, step: Reorganise) -> None:
        spacing = step.depth * SPACING // (step.depth + 1)
        blocks = [] if step.emptied else self._rearranged(step)
        self._chain.reorg(step.depth, blocks, spacing=spacing)
        for label in step.lose:
            self._chain.drop(self.book.tx(label).txid)

    def _rearranged(self, step: Reorganise) -> list[list[Tx]]:
        heights = range(self._chain.height - step.depth + 1, self._chain.height + 1)
        old = [list(self._chain.block_at(height).txs[1:]) for height in heights]
        lost = {self.book.tx(label).txid for label in step.lose}
        spoiled = [self._spoil(label) for label in step.lose if label in self.book.paid]
        late = {self.book.tx(label).txid for label in step.late}
        early = {self.book.tx(label).txid for label in step.early}
        first, *others = new_branch(old, lost, early, late)
        return [[*spoiled, *first], *others]

    def _spoil(self, label: Label) -> Tx:
        """Another payment from the same coin, back to its owner."""
        step = next(s for s in self._story.steps if isinstance(s, Pay) and s.label == label)
        return pay([self._money(step.money)], (), extra_fee=10000)


def _recovered(coin: StageCoin, to: Penalty | Address, investor: Key) -> TxOut:
    match to:
        case Penalty(days):
            return penalty_output(coin, investor.public, days)
        case Address(script):
            return TxOut(coin.stage.value, script)

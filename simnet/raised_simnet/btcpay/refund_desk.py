"""How money goes back: offers, claims, and the transactions that pay them."""

import threading
from collections.abc import Callable

from raised.domain.bitcoin.tx import Tx
from raised_simnet.btcpay.chain_watcher import ChainWatcher
from raised_simnet.btcpay.decimals import from_sats
from raised_simnet.btcpay.id_generator import PAYOUT, IdGenerator
from raised_simnet.btcpay.refund import Payout, PayoutState, PullPayment
from raised_simnet.btcpay.store import Store
from raised_simnet.btcpay.webhook_event import Event, payout_event


class RefundDesk:
    """Pull payments and payouts of all stores. Every method may be called from any thread."""

    def __init__(
        self,
        stores: dict[str, Store],
        namer: IdGenerator,
        now: Callable[[], int],
        tell: Callable[[Event], None],
        lock: threading.RLock,
    ) -> None:
        self._stores = stores
        self._namer = namer
        self._now = now
        self._tell = tell
        self._lock = lock

    def offer(self, store: Store, name: str, sats: int) -> PullPayment:
        """A pull payment. By its name alone it has to do with an invoice or not."""
        with self._lock:
            pull_id = self._namer.next(PAYOUT)
            pull = PullPayment(pull_id, store.id, name, from_sats(sats), "BTC", self._now())
            store.pulls[pull.id] = pull
            return pull

    def claim(self, pull: PullPayment, destination: str) -> Payout:
        """Somebody takes the offer."""
        with self._lock:
            payout_id = self._namer.next(PAYOUT)
            money = (pull.amount, pull.currency)
            payout = Payout(payout_id, pull.store_id, pull.id, self._now(), destination, *money)
            self._stores[pull.store_id].payouts[payout.id] = payout
            self._tell(payout_event("PayoutCreated", payout))
            return payout

    def approve(self, payout: Payout) -> None:
        """The store agrees, and so the amount in the coin is settled."""
        with self._lock:
            payout.coin_amount = payout.amount
            payout.revision += 1
            payout.state = PayoutState.AWAITING_PAYMENT
            self._tell(payout_event("PayoutApproved", payout))

    def pay_out(self, payout: Payout, tx: Tx) -> None:
        """The store has sent this transaction; it is over when it confirms."""
        with self._lock:
            payout.proof = tx.txid
            payout.state = PayoutState.IN_PROGRESS
            self._tell(payout_event("PayoutUpdated", payout))

    def cancel(self, payout: Payout) -> None:
        """The store does not agree."""
        with self._lock:
            payout.state = PayoutState.CANCELLED
            self._tell(payout_event("PayoutUpdated", payout))

    def look(self, sightings: ChainWatcher) -> None:
        """See which payouts are confirmed by now."""
        for store in self._stores.values():
            for payout in store.payouts.values():
                sent = payout.state is PayoutState.IN_PROGRESS and payout.proof
                if sent and sightings.is_confirmed(payout.proof or ""):
                    payout.state = PayoutState.COMPLETED
                    self._tell(payout_event("PayoutUpdated", payout))

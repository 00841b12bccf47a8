"""What the server knows and what people do with it: stores, invoices, money, refunds.

No HTTP here. Every method may be called from any thread. The chain and the clock are looked at when
`look` is called, and at no other time: so a story repeats.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import ApiVersion
from raised_simnet.btcpay.chain_watcher import ChainWatcher, SeenPayment
from raised_simnet.btcpay.decimals import from_msats, from_sats
from raised_simnet.btcpay.id_generator import STORE, IdGenerator, base58_id, hex_id
from raised_simnet.btcpay.invoice import (
    LIGHTNING,
    NOTHING,
    ON_CHAIN,
    Exceptional,
    Invoice,
    InvoiceState,
    Metadata,
    Payment,
    Status,
)
from raised_simnet.btcpay.invoice_states import advance, mark
from raised_simnet.btcpay.order import Order, make_invoice
from raised_simnet.btcpay.payment_methods import renew_bolt11, reveal_preimage
from raised_simnet.btcpay.refund import PullPayment
from raised_simnet.btcpay.refund_desk import RefundDesk
from raised_simnet.btcpay.store import STANDARD, Policy, Store
from raised_simnet.btcpay.webhook_event import Event, invoice_event, payment_event

Tell = Callable[[Event], None]
Clock = Callable[[], int]

_DAY: Final = 86400
_TXID_CHARS: Final = 64


class Backend:
    """The stores of one server. `tell` gets every event in order.

    `keeps_days`: unpaid expired invoices older than this are deleted; None: never (before 2.3.0).
    """

    def __init__(
        self, chain: RegtestChain, dialect: ApiVersion, clock: Clock, tell: Tell, seed: str
    ) -> None:
        self.dialect = dialect
        self.lock = threading.RLock()
        self.stores: dict[str, Store] = {}
        self.deleted: dict[str, int] = {}
        self.keeps_days: int | None = None if dialect.old else 183
        self.host = ""
        self.synchronized = True
        self.now = clock
        self._chain = chain
        self._tell = tell
        self._seed = seed
        self._namer = IdGenerator(f"{seed} office")
        self._unseen: set[tuple[str, str]] = set()
        self.refund_desk = RefundDesk(self.stores, self._namer, clock, tell, self.lock)

    @property
    def height(self) -> int:
        """Of the chain it looks at."""
        return self._chain.height

    # What people do.

    def open_store(self, name: str, policy: Policy = STANDARD) -> Store:
        """A new store."""
        with self.lock:
            store = Store(base58_id(f"{self._seed} store {name}", STORE), name, policy)
            self.stores[store.id] = store
            return store

    def order(self, store: Store, order: Order) -> Invoice:
        """A new invoice."""
        with self.lock:
            host = self.host.partition("//")[2]
            invoice = make_invoice(order, store, self._namer.next(), self.now(), host)
            store.invoices[invoice.id] = invoice
            self._tell(invoice_event("InvoiceCreated", invoice))
            self._advance(invoice)
            return invoice

    def new_id(self) -> str:
        """An identifier that nothing else has."""
        with self.lock:
            return self._namer.next()

    def find(self, invoice_id: str) -> Invoice:
        """An invoice of whatever store. Raises KeyError."""
        with self.lock:
            for store in self.stores.values():
                if invoice_id in store.invoices:
                    return store.invoices[invoice_id]
        raise KeyError(invoice_id)

    def pay_lightning(self, invoice_id: str, msats: int) -> Payment | None:
        """Pay by Lightning; None when nobody listens any more: the BOLT11 has expired."""
        with self.lock:
            invoice = self.find(invoice_id)
            if self.now() >= invoice.terms.expires_at:
                return None
            method = invoice.method(LIGHTNING)
            payment_id = str((method.data or {})["paymentHash"])
            destination = method.destination or ""
            payment = Payment(
                LIGHTNING,
                payment_id,
                from_msats(msats),
                self.now(),
                destination,
                InvoiceState.SETTLED,
            )
            reveal_preimage(invoice, method)
            self._receive(invoice, payment)
            if invoice.status is Status.NEW:
                renew_bolt11(invoice, method)
            return payment

    def pay_other_coin(self, invoice_id: str, method_id: str, amount: Decimal) -> Payment:
        """Pay on a chain that the simnet does not have; it is settled at once."""
        with self.lock:
            invoice = self.find(invoice_id)
            number = len(invoice.payments)
            payment_id = f"{hex_id(f'{invoice.id} {method_id} {number}', _TXID_CHARS)}-0"
            destination = invoice.method(method_id).destination or ""
            payment = Payment(
                method_id, payment_id, amount, self.now(), destination, InvoiceState.SETTLED
            )
            self._receive(invoice, payment)
            return payment

    def mark(self, invoice_id: str, status: Status) -> None:
        """A person marks an invoice."""
        with self.lock:
            self._tell(mark(self.find(invoice_id), status))

    def archive(self, invoice_id: str, *, archived: bool = True) -> None:
        """Put it aside or back. Nobody is told."""
        with self.lock:
            self.find(invoice_id).archived = archived

    def edit(self, invoice_id: str, metadata: Metadata) -> None:
        """Replace its metadata. Nobody is told."""
        with self.lock:
            self.find(invoice_id).metadata = dict(metadata)

    def refund(self, invoice_id: str, sats: int, name: str | None = None) -> PullPayment:
        """Offer to give so much back for an invoice. `name`: instead of the usual one."""
        with self.lock:
            invoice = self.find(invoice_id)
            title = f"Refund {invoice_id}" if name is None else name
            pull = self.refund_desk.offer(self.stores[invoice.store_id], title, sats)
            if not self.dialect.old:
                self._tell(invoice_event("InvoiceRefund", invoice, pullPaymentId=pull.id))
            return pull

    # What the server does by itself.

    def look(self) -> None:
        """See what is new on the chain and on the clock, and tell."""
        with self.lock, self._chain.lock:
            sightings = ChainWatcher(self._chain)
            for invoice in self._invoices():
                self._see(invoice, sightings)
                self._advance(invoice)
            self.refund_desk.look(sightings)
            self._clean()

    def catch_up(self) -> None:
        """After a time of not looking: of cold invoices, what came meanwhile is never noticed."""
        with self.lock, self._chain.lock:
            sightings = ChainWatcher(self._chain)
            for invoice in self._invoices():
                if not invoice.is_monitored:
                    new = self._unknown(invoice, sightings)
                    self._unseen.update((invoice.id, sighting.id) for sighting in new)
        self.look()

    def _invoices(self) -> Iterator[Invoice]:
        for store in list(self.stores.values()):
            yield from list(store.invoices.values())

    def _unknown(self, invoice: Invoice, sightings: ChainWatcher) -> list[SeenPayment]:
        script = next((method.script for method in invoice.methods if method.script), None)
        found = () if script is None else sightings.to(script)
        fresh = (s for s in found if invoice.payment(ON_CHAIN, s.id) is None)
        return [sighting for sighting in fresh if (invoice.id, sighting.id) not in self._unseen]

    def _see(self, invoice: Invoice, sightings: ChainWatcher) -> None:
        if invoice.is_monitored:
            for payment in invoice.payments:
                if payment.method == ON_CHAIN:
                    self._follow(invoice, payment, sightings)
        for sighting in self._unknown(invoice, sightings):
            method = invoice.method(ON_CHAIN)
            fee = invoice.terms.network_fee if invoice.accounted else NOTHING
            state = sightings.state(invoice, sighting.id)
            money = (from_sats(sighting.sats), self.now(), method.destination or "")
            self._receive(invoice, Payment(ON_CHAIN, sighting.id, *money, state, fee))

    def _follow(self, invoice: Invoice, payment: Payment, sightings: ChainWatcher) -> None:
        before = payment.state
        payment.state = sightings.state(invoice, payment.id)
        if payment.state is InvoiceState.SETTLED is not before:
            self._tell_payment("InvoicePaymentSettled", invoice, payment)

    def _receive(self, invoice: Invoice, payment: Payment) -> None:
        """Money that is final when it comes is told of as settled before it is as received."""
        invoice.payments.append(payment)
        if payment.state is InvoiceState.SETTLED:
            self._tell_payment("InvoicePaymentSettled", invoice, payment)
        self._tell_payment("InvoiceReceivedPayment", invoice, payment)
        self._advance(invoice)

    def _advance(self, invoice: Invoice) -> None:
        for event in advance(invoice, self.now()):
            self._tell_known(event)

    def _tell_known(self, event: Event) -> None:
        if not self.dialect.old or event.type not in _SINCE_2_1_2:
            self._tell(event)

    def _tell_payment(self, kind: str, invoice: Invoice, payment: Payment) -> None:
        late = invoice.status in {Status.EXPIRED, Status.INVALID}
        self._tell(payment_event(kind, invoice, replace(payment), self.dialect, late=late))

    def _clean(self) -> None:
        """Delete what expired unpaid long ago. Nobody is told."""
        if self.keeps_days is None:
            return
        limit = self.now() - self.keeps_days * _DAY
        for store in self.stores.values():
            for invoice in list(store.invoices.values()):
                unpaid = (invoice.status, invoice.exceptional) == (
                    Status.EXPIRED,
                    Exceptional.NONE,
                )
                if unpaid and invoice.terms.created_at < limit:
                    del store.invoices[invoice.id]
                    self.deleted[invoice.id] = self.now()


_SINCE_2_1_2: Final = frozenset({"InvoiceExpiredPaidPartial", "InvoicePaidAfterExpiration"})

"""What a buyer orders, and the invoice that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from raised.domain.bitcoin.curve import pubkey_from_secret
from raised.domain.bitcoin.hashes import hash160, sha256
from raised.domain.bitcoin.script import p2wpkh
from raised_simnet.btcpay.id_generator import hex_id
from raised_simnet.btcpay.invoice import LIGHTNING, ON_CHAIN, Invoice, Method, Speed, Terms
from raised_simnet.btcpay.payment_methods import (
    chain_method,
    lightning_method,
    lnurl_method,
    on_chain,
)
from raised_simnet.btcpay.store import Store

_MINUTE: Final = 60
_ONE: Final = {"BTC": Decimal(1), "SATS": Decimal(100_000_000)}
_ADDRESS_CHARS: Final = 38


@dataclass(frozen=True, slots=True)
class Order:
    """An invoice to be. What is None is the store's to say; minutes.

    `price`: decimal text in `currency`; `0` with `top_up`. `script`: where to be paid on the chain,
    else a fresh address. `rates`: prices of other coins in `currency`, by their method.
    `currencies`: what plugins' methods take, where their name does not say it.
    """

    price: str
    currency: str = "USD"
    metadata: Mapping[str, object] = field(default_factory=dict)
    methods: tuple[str, ...] = (ON_CHAIN, LIGHTNING)
    top_up: bool = False
    script: bytes | None = None
    expires_after: int | None = None
    monitored_for: int | None = None
    speed: Speed | None = None
    tolerance: str | None = None
    rates: Mapping[str, str] = field(default_factory=dict)
    currencies: Mapping[str, str] = field(default_factory=dict)
    app_id: str | None = None


def make_invoice(order: Order, store: Store, invoice_id: str, now: int, host: str) -> Invoice:
    """The invoice of an order."""
    policy = store.policy
    expires_at = now + _MINUTE * (order.expires_after or policy.expires_after)
    terms = Terms(
        price=Decimal(order.price),
        currency=order.currency,
        created_at=now,
        expires_at=expires_at,
        monitored_until=expires_at + _MINUTE * (order.monitored_for or policy.monitored_for),
        top_up=order.top_up,
        speed=order.speed or policy.speed,
        tolerance=policy.tolerance if order.tolerance is None else Decimal(order.tolerance),
        network_fee=policy.network_fee,
    )
    rate = _ONE.get(order.currency) or store.rates[order.currency]
    index = len(store.invoices)
    free = not terms.price and not order.top_up
    wanted = () if free else order.methods  # nothing to pay: no way to pay
    methods = (_method(name, order, invoice_id, rate, (index, host)) for name in wanted)
    tags = () if order.app_id is None else (f"crowdfund-app_{order.app_id}",)
    return Invoice(invoice_id, store.id, terms, tuple(methods), dict(order.metadata), tags)


def _method(
    name: str, order: Order, invoice_id: str, rate: Decimal, place: tuple[int, str]
) -> Method:
    index, host = place
    match name:
        case "BTC-CHAIN":
            return chain_method(order.script or _fresh_script(invoice_id), rate, index)
        case "BTC-LN":
            return lightning_method(invoice_id, rate)
        case "BTC-LNURL":
            return lnurl_method(invoice_id, rate, host)
        case _:
            coin = name.partition("-")[0]
            destination = f"{coin.lower()}1q{hex_id(f'{invoice_id} {name}', _ADDRESS_CHARS)}"
            currency = order.currencies.get(name, coin)
            return on_chain(name, currency, Decimal(order.rates[name]), destination, index)


def _fresh_script(invoice_id: str) -> bytes:
    return p2wpkh(hash160(pubkey_from_secret(sha256(b"simnet btcpay " + invoice_id.encode()))))

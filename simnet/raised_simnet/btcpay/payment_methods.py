"""The ways to pay an invoice, as they are when it is made. Source: docs/btcpay.md 4.1."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from raised.domain.bitcoin.bech32 import address
from raised_simnet.actors.wallet import HRP
from raised_simnet.btcpay.id_generator import hex_id
from raised_simnet.btcpay.invoice import LIGHTNING, LNURL, ON_CHAIN, Invoice, Method

_HASH_CHARS: Final = 64
_FEE_RATE: Final = 2.0


def chain_method(script: bytes, rate: Decimal, key_index: int) -> Method:
    """To an address of the store's wallet."""
    destination = address(HRP, script) or ""
    return on_chain(ON_CHAIN, "BTC", rate, destination, key_index, script)


def on_chain(
    method_id: str,
    currency: str,
    rate: Decimal,
    destination: str,
    key_index: int,
    script: bytes | None = None,
) -> Method:
    """To an address on any chain; ours is watched at `script`."""
    scheme = {"BTC": "bitcoin", "LTC": "litecoin"}.get(currency, currency.lower())
    data: dict[str, object] = {
        "feeMode": "MultiplePaymentsOnly",
        "paymentMethodFeeRate": _FEE_RATE,
        "assetId": None,
        "payjoinEnabled": False,
        "recommendedFeeRate": _FEE_RATE,
        "keyPath": f"0/{key_index}",
        "keyIndex": key_index,
        "accountDerivation": None,
    }
    link = f"{scheme}:{destination}"
    return Method(method_id, currency, rate, destination, link, data, script)


def lightning_method(seed: str, rate: Decimal) -> Method:
    """By a BOLT11 invoice, which is a text of the right look and no more."""
    payment_hash = hex_id(f"{seed} hash", _HASH_CHARS)
    bolt11 = f"lnbcrt{hex_id(f'{seed} bolt11', _HASH_CHARS)}"
    data: dict[str, object] = {
        "paymentHash": payment_hash,
        "preimage": None,
        "invoiceId": payment_hash,
        "nodeInfo": None,
    }
    return Method(LIGHTNING, "BTC", rate, bolt11, f"lightning:{bolt11}", data)


def lnurl_method(invoice_id: str, rate: Decimal, host: str) -> Method:
    """By LNURL; it has no invoice of its own until a wallet asks."""
    empty = (
        *("providedComment", "consumedLightningAddress", "payRequest"),
        *("paymentHash", "preimage", "invoiceId", "nodeInfo"),
    )
    data: dict[str, object] = {"generatedBoltAmount": None, "bech32Mode": True}
    link = f"lnurlp://{host}/BTC/UILNURL/pay/i/{invoice_id}"
    return Method(LNURL, "BTC", rate, None, link, {**data, **dict.fromkeys(empty)})


def reveal_preimage(invoice: Invoice, method: Method) -> None:
    """A paid BOLT11 invoice's method shows the proof of it."""
    preimage = hex_id(f"{method.destination} preimage", _HASH_CHARS)
    _exchange(invoice, method, replace(method, data={**(method.data or {}), "preimage": preimage}))


def renew_bolt11(invoice: Invoice, method: Method) -> None:
    """What is left to pay gets a new BOLT11 invoice."""
    _exchange(invoice, method, lightning_method(f"{method.destination} again", method.rate))


def _exchange(invoice: Invoice, old: Method, new: Method) -> None:
    invoice.methods = tuple(new if method.id == old.id else method for method in invoice.methods)

"""Payment methods: the names that 1.x and 2.x give them, and the currency they pay in.

Which methods are bitcoin is for `domain.btcpay.invoice` to say. Source: docs/btcpay.md 4.1 and 11.
"""

import re
from typing import Final

from raised.domain.btcpay.invoice import BITCOIN, BITCOIN_METHODS, SATS
from raised.errors import InvalidInput

_KINDS: Final = {
    "": "CHAIN",  # 1.x sends only BTC
    "chain": "CHAIN",
    "onchain": "CHAIN",
    "btclike": "CHAIN",
    "bitcoinlike": "CHAIN",
    "monerolike": "CHAIN",
    "zcashlike": "CHAIN",
    "ln": "LN",
    "lightningnetwork": "LN",
    "lightninglike": "LN",
    "offchain": "LN",
    "off-chain": "LN",
    "lnurl": "LNURL",
    "lnurlpay": "LNURL",
}
# Kinds that 1.x had for one coin each.
_KINDS_OF_COIN: Final = {"monerolike": "XMR", "zcashlike": "ZEC"}
_UNITS: Final = {BITCOIN: SATS}  # in which a coin is counted, too
_METHOD: Final = re.compile(r"([A-Za-z0-9]+)(?:[-_](.+))?")


def method_name(text: str, currency: str = "") -> str:
    """A payment method as 2.x names it: BTC-CHAIN, BTC-LN, BTC-LNURL; a plugin's as sent, which
    an operator may have named freely (docs/btcpay.md 4.4).

    `currency` is that of its payments, where the server says it. Raises InvalidInput: no name.
    """
    if not text[:1].isalnum():
        raise InvalidInput("no name of a payment method")
    match = _METHOD.fullmatch(text)
    if match is None:
        return text
    coin, sent = match[1].upper(), (match[2] or "").lower()
    kind = _KINDS.get(sent)
    if kind is None or _KINDS_OF_COIN.get(sent, coin) != coin:
        return text
    # A coin alone is its chain; `CASH` in another currency is no coin.
    is_coin = sent or not currency or currency.upper() in (coin, _UNITS.get(coin))
    return f"{coin}-{kind}" if is_coin else text


def method_currency(method: str, sent: str) -> str:
    """The currency of a method; the server may leave it out. Raises InvalidInput."""
    coin = method.partition("-")[0]
    currency = (sent or coin).upper()
    if method in BITCOIN_METHODS and currency not in (BITCOIN, SATS):
        raise InvalidInput("a method of bitcoin in another currency")
    return currency

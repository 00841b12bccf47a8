"""Whether a store can be followed, and what is wrong with it in words. Source: btcpay.md 2.3."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.publisher import StoreContext
from raised.btcpay.webhook import check_webhook
from raised.errors import SourceError

_SAFE: Final = (2, 4, 2)  # from then on LND credentials cannot be stolen
_SKEW_SECONDS: Final = 60
_WEBHOOKS: Final = "btcpay.store.webhooks.canmodifywebhooks"
_ABOVE: Final = ("unrestricted", "btcpay.store.canmodifystoresettings")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


async def check_store(follower: StoreContext, store_id: str, *, expects_events: bool) -> None:
    """Try what following needs; the health says how it went.

    Raises SourceError: not now, or not with this key or address.
    """
    health, server = follower.health, follower.server
    await server.is_synchronized()  # needs no key: tells a wrong address from a wrong key
    info = await server.server()
    await server.invoices(InvoicePage(take=1))
    health.accept_key()
    health.version = info.version
    health.set_problem("not_synchronized", None if info.synchronized else _NOT_SYNCHRONIZED)
    health.set_warning(
        "old_version", _OLD_VERSION.format(info.version) if is_outdated(info.version) else None
    )
    skew = server.skew_seconds or 0
    health.set_warning("clock_skew", _SKEW.format(abs(skew)) if abs(skew) > _SKEW_SECONDS else None)
    if expects_events:
        await _look_at_webhook(follower, store_id)


_NOT_SYNCHRONIZED: Final = "its node has not all blocks yet: on-chain payments are late"
_OLD_VERSION: Final = "runs version {}: before 2.4.2 Lightning credentials can be stolen, upgrade"
_SKEW: Final = "its clock and ours are {} s apart: set the wrong one, windows rest on them"


async def _look_at_webhook(follower: StoreContext, store_id: str) -> None:
    """What the server says of its webhook, where the key may ask. It is no reason to stop."""
    health = follower.health
    try:
        if not allows(await follower.server.permissions(), _WEBHOOKS, store_id):
            return
        found = await check_webhook(follower.server, follower.label, follower.clock())
    except SourceError as error:
        health.set_problem("webhook", f"its webhook could not be looked at: it {error.detail}")
        return
    health.webhook = found.state
    health.set_problem("webhook", found.trouble)


def allows(permissions: AbstractSet[str], policy: str, store_id: str) -> bool:
    """Whether a key with these permissions has this one for a store."""
    return any(
        name in permissions or f"{name}:{store_id}" in permissions for name in (policy, *_ABOVE)
    )


def is_outdated(version: str) -> bool:
    """Whether a server of this version should be upgraded."""
    numbers = tuple(int(one) for one in _NUMBER.findall(re.split(r"[+-]", version)[0])[:3])
    return numbers < _SAFE

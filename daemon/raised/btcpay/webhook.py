"""The server's own log of what it sent us: failing or late deliveries. Source: btcpay.md 12.5.

Needs the permission to modify webhooks, which is not asked for: without it the misses that the
record counts are all there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.server_json import SentDelivery, Webhook

_LOOKED_AT: Final = 50
_RECENT_SECONDS: Final = 3600
_LATE_SECONDS: Final = 60
_RETRIED: Final = frozenset({408, 429})  # and 5xx, and no answer (btcpay.md 7.4)


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """`state`: what the store's `webhook` fact says; `trouble`: in words, None when all is well."""

    state: str
    trouble: str | None = None


async def check_webhook(server: Greenfield, label: str, now: int) -> WebhookReport:
    """How the webhook that rings here is doing. Raises SourceError."""
    webhooks = await server.webhooks()
    ours = [one for one in webhooks if _rings_here(one, label)]
    if not ours:
        return _none_found(webhooks, label)
    if not any(one.enabled for one in ours):
        return WebhookReport("disabled", "the webhook is disabled on the server: enable it there")
    sent: list[SentDelivery] = []
    for one in ours:
        if one.enabled:
            sent += await server.deliveries(one.id, _LOOKED_AT)
    return assess_deliveries(sent, now)


def _rings_here(webhook: Webhook, label: str) -> bool:
    """Our public address is not known here; the path is ours alone."""
    address = webhook.url.partition("?")[0].rstrip("/")
    return address.endswith((f"/webhooks/btcpay/{label}", "/webhook"))


def _none_found(webhooks: Sequence[Webhook], label: str) -> WebhookReport:
    if webhooks:
        return WebhookReport("unknown")  # a proxy may give our path another name
    return WebhookReport(
        "missing",
        f"the store has no webhook, though a secret is configured: raised btcpay setup {label}",
    )


def assess_deliveries(sent: Sequence[SentDelivery], now: int) -> WebhookReport:
    """What these attempts to tell us say."""
    attempts = sorted(sent, key=_sent_at)
    if attempts and attempts[-1].status != "HttpSuccess":
        return WebhookReport(
            "failing",
            f"the server's last delivery did not reach us ({_outcome(attempts[-1])}): check the"
            " webhook's address, the proxy before it and that raised api runs",
        )
    recent = [one for one in attempts if _sent_at(one) > now - _RECENT_SECONDS]
    refused = [one for one in recent if _is_refused(one)]
    if refused:
        return WebhookReport(
            "failing",
            f"{len(refused)} deliveries of the last hour were refused and are not sent again"
            f" ({_outcome(refused[-1])}): check the webhook's secret",
        )
    wait = max((_sent_at(one) - one.queued_at for one in recent), default=0)
    if wait > _LATE_SECONDS:
        return WebhookReport(
            "late", f"deliveries waited up to {wait} s on the server before they came"
        )
    return WebhookReport("ok")


def _sent_at(delivery: SentDelivery) -> int:
    return delivery.queued_at if delivery.sent_at is None else delivery.sent_at


def _is_refused(delivery: SentDelivery) -> bool:
    code = delivery.http_status
    return (
        delivery.status != "HttpSuccess"
        and code is not None
        and code < 500
        and code not in _RETRIED
    )


def _outcome(delivery: SentDelivery) -> str:
    return "no answer" if delivery.http_status is None else f"HTTP {delivery.http_status}"

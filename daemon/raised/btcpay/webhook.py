"""Checks the webhook from the server's log of its deliveries. Source: docs/btcpay.md 12.5.

Needs the permission to modify webhooks, which raised does not require: without it, only what the
sweeps find first shows that deliveries are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.server_json import SentDelivery, Webhook

_DELIVERIES_CHECKED: Final = 50
_RECENT_SECONDS: Final = 3600
_LATE_SECONDS: Final = 60
# The server sends again after these, after 5xx and after no answer (docs/btcpay.md 7.4).
_RETRIED_STATUSES: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """`state`: the store's health fact `webhook`; `problem`: a sentence, None when all is well."""

    state: str
    problem: str | None = None


async def check_webhook(server: Greenfield, label: str, now: int) -> WebhookReport:
    """How the webhook that delivers to us does. `now`: Unix seconds. Raises SourceError."""
    webhooks = await server.webhooks()
    ours = [webhook for webhook in webhooks if _delivers_to_us(webhook, label)]
    if not ours:
        return _without_ours(webhooks, label)
    enabled = [webhook for webhook in ours if webhook.enabled]
    if not enabled:
        return WebhookReport("disabled", "the webhook is disabled on the server: enable it there")
    deliveries: list[SentDelivery] = []
    for webhook in enabled:
        deliveries += await server.deliveries(webhook.id, _DELIVERIES_CHECKED)
    return assess_deliveries(deliveries, now)


def _delivers_to_us(webhook: Webhook, label: str) -> bool:
    """Decided by the path: our public host name is not configured here."""
    address = webhook.url.partition("?")[0].rstrip("/")
    return address.endswith((f"/webhooks/btcpay/{label}", "/webhook"))


def _without_ours(webhooks: Sequence[Webhook], label: str) -> WebhookReport:
    if webhooks:
        return WebhookReport("unknown")  # a proxy may give our path another name
    return WebhookReport(
        "missing",
        f"the store has no webhook, though a secret is configured: raised btcpay setup {label}",
    )


def assess_deliveries(deliveries: Sequence[SentDelivery], now: int) -> WebhookReport:
    """Whether deliveries fail, are refused or are late. `now`: Unix seconds."""
    attempts = sorted(deliveries, key=_sent_at)
    if attempts and attempts[-1].status != "HttpSuccess":
        return WebhookReport(
            "failing",
            f"the server's last delivery did not reach us ({_outcome(attempts[-1])}): check the"
            " webhook's address, the proxy before it and that raised api runs",
        )
    recent = [attempt for attempt in attempts if _sent_at(attempt) > now - _RECENT_SECONDS]
    refused = [attempt for attempt in recent if _is_refused(attempt)]
    if refused:
        return WebhookReport(
            "failing",
            f"{len(refused)} deliveries of the last hour were refused and are not sent again"
            f" ({_outcome(refused[-1])}): check the webhook's secret",
        )
    delay = max((_sent_at(attempt) - attempt.queued_at for attempt in recent), default=0)
    if delay > _LATE_SECONDS:
        problem = f"deliveries waited up to {delay} s on the server before they came"
        return WebhookReport("late", problem)
    return WebhookReport("ok")


def _sent_at(delivery: SentDelivery) -> int:
    return delivery.queued_at if delivery.sent_at is None else delivery.sent_at


def _is_refused(delivery: SentDelivery) -> bool:
    """Whether the server will not send it again."""
    code = delivery.http_status
    return (
        delivery.status != "HttpSuccess"
        and code is not None
        and code < 500
        and code not in _RETRIED_STATUSES
    )


def _outcome(delivery: SentDelivery) -> str:
    return "no answer" if delivery.http_status is None else f"HTTP {delivery.http_status}"

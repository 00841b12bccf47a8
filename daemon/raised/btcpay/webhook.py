"""Checks the webhook from the server's log of its deliveries. Source: docs/btcpay.md 12.5.

Needs the permission to modify webhooks, which raised does not require: without it, only what the
sweeps find first shows that deliveries are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.server_json import SentDelivery, Webhook
from raised.btcpay.settings import StoreSettings

_DELIVERIES_CHECKED: Final = 50
_RECENT_SECONDS: Final = 3600
_LATE_SECONDS: Final = 60
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}
# The server sends again after these, after 5xx and after no answer (docs/btcpay.md 7.4).
_RETRIED_STATUSES: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """`state`: the store's health fact `webhook`; `problem`: a sentence, None when all is well."""

    state: str
    problem: str | None = None


async def check_webhook(server: Greenfield, settings: StoreSettings, now: int) -> WebhookReport:
    """How the webhook that delivers to us does, whatever those of other programs do.

    `now`: Unix seconds. Raises SourceError.
    """
    ours = [webhook for webhook in await server.webhooks() if _delivers_to_us(webhook, settings)]
    if not ours:
        return _missing(settings)
    enabled = [webhook for webhook in ours if webhook.enabled]
    if not enabled:
        return WebhookReport("disabled", "the webhook is disabled on the server: enable it there")
    deliveries: list[SentDelivery] = []
    for webhook in enabled:
        deliveries += await server.deliveries(webhook.id, _DELIVERIES_CHECKED)
    return assess_deliveries(deliveries, now)


def _delivers_to_us(webhook: Webhook, settings: StoreSettings) -> bool:
    """By our own address; by its path, which no other program has, where that is not known."""
    address = _normalized(webhook.url)
    if settings.webhook_urls:
        return address in {_normalized(url) for url in settings.webhook_urls}
    return address.endswith(f"/webhooks/btcpay/{settings.label}")


def _normalized(url: str) -> str:
    """An address without what makes no difference: case of the host, default port, last slash."""
    try:
        parts = urlsplit(url)
    except ValueError:  # another program's, which is no address at all
        return url
    scheme = parts.scheme.lower()
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(scheme, " "))
    return f"{scheme}://{host}{parts.path.rstrip('/')}"


def _missing(settings: StoreSettings) -> WebhookReport:
    label = settings.label
    if settings.webhook_urls:
        return WebhookReport(
            "missing",
            f"the store has no webhook to {settings.webhook_urls[0]}, though a secret is configured"
            f": raised btcpay setup {label}; or RAISED_PUBLIC_URL is not where BTCPay reaches us",
        )
    return WebhookReport(
        "missing",
        f"the store has no webhook for raised, though a secret is configured: raised btcpay setup"
        f" {label}; where a proxy gives its path another name, set RAISED_PUBLIC_URL",
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

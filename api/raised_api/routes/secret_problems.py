"""Stores whose deliveries cannot be checked, since this process has no secret of theirs."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.instant import instant
from raised.db.requests.inbox import refused_since
from raised_api.http.webhook_secrets import NO_SECRET, WebhookSecrets
from raised_api.routes.problem_item import Trouble, problem_item

_HOUR: Final = 3600


async def secret_problems(
    conn: AsyncConnection, labels: Iterable[str], secrets: WebhookSecrets, now: int
) -> list[Trouble]:
    """The problems of these stores: a secret's file that is not there, and deliveries within the
    last hour to a store for which none is named. A store without webhook has no problem.
    """
    delivered = {
        count.store: count.last_at
        for count in await refused_since(conn, now - _HOUR)
        if count.reason == NO_SECRET
    }
    return [
        _problem(label, secrets.missing.get(label), delivered.get(label))
        for label in sorted(labels)
        if label not in secrets.by_label and (label in secrets.missing or label in delivered)
    ]


def _problem(label: str, missing: str | None, last_at: int | None) -> Trouble:
    cause = missing or "raised api has no webhook secret of this store"
    detail = (
        f"{cause}: its deliveries are answered 503 and payments come by pulls alone, minutes late. "
        f"Run `raised btcpay setup {label}` and restart raised api."
    )
    return problem_item(
        label,
        "no_webhook_secret",
        detail,
        instant(last_at),
        last_at=instant(last_at),
        # Anybody can send what looks like a delivery; a file that is named and missing is our own.
        severity="degraded" if missing else "warning",
    )

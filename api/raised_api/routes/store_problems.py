"""What is wrong with stores beside their state: refused deliveries, misses, invoices of two."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.items.instant import instant, rfc3339
from raised.db.items.store_item import Store
from raised.db.requests.inbox import Refused, refused_since
from raised_api.http.webhook_secrets import NO_SECRET
from raised_api.routes.problem_item import Trouble, problem_item

_HOUR: Final = 3600
_DAY: Final = 86_400

# What anybody can send to a public address, and the store's own server does not: it always signs.
_STRANGERS: Final = frozenset({"no_signature", "broken_off"})


async def store_problems(conn: AsyncConnection, stores: Iterable[Store], now: int) -> list[Trouble]:
    """The problems of these store items, as health lists them."""
    refused: defaultdict[str, list[Refused]] = defaultdict(list)
    for count in await refused_since(conn, now - _HOUR):
        if count.reason not in (*_STRANGERS, NO_SECRET):  # the latter is a problem of its own
            refused[count.store].append(count)
    problems: list[Trouble] = []
    for store in stores:
        if counts := refused.get(store.name):
            problems.append(_refused(store, counts))
        problems += [*_missed(store, now), *_ambiguous(store)]
    return problems


def _refused(store: Store, counts: list[Refused]) -> Trouble:
    """A warning: anybody can send what is refused. If it is the store's own server, its deliveries
    are missed as well, and that is what makes the store worse.
    """
    parts = ", ".join(f"{count.reason} {count.count}" for count in counts)
    detail = f"Deliveries were refused within the last hour; so far: {parts}."
    last_at = instant(max(count.last_at for count in counts))
    tries = sum(count.count for count in counts)
    return problem_item(
        store.name,
        "refused_deliveries",
        detail,
        last_at,
        last_at=last_at,
        tries=tries,
        severity="warning",
    )


def _missed(store: Store, now: int) -> list[Trouble]:
    last = store.last_miss_at
    if last is None or last < rfc3339(now - _DAY):
        return []
    detail = (
        f"Pulls found what no delivery had told, {store.misses} times so far: look whether the "
        "store's webhook is there, enabled and reaches this address."
    )
    return [problem_item(store.name, "missed_deliveries", detail, last, last_at=last)]


def _ambiguous(store: Store) -> list[Trouble]:
    number = store.ambiguous_invoices
    if not number:
        return []
    detail = f"{number} invoices match rules of two campaigns and count for the store alone."
    return [problem_item(store.name, "ambiguous_invoices", detail, None)]

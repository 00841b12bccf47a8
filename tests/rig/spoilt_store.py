"""Faults of a fake server that concern some of its invoices, and what a store's health names."""

from collections.abc import Callable
from typing import Final

from tests.rig.canned_greenfield import json_response
from tests.rig.fake_greenfield import BELOW, payment
from tests.rig.memory_store_record import FollowedStore

from raised.domain.observation import SourceProblem
from raised_simnet.http.http_server import Request, Response

FAILED: Final = Response(500, b"", "")


def wants_payments(request: Request) -> bool:
    """Whether an answer with payment methods is asked for."""
    return request.query.get("includePaymentMethods") == ["true"]


def spoil_pages(
    store: FollowedStore,
    odd: set[str],
    answer: Response = FAILED,
    when: Callable[[Request], bool] = wants_payments,
) -> None:
    """Let pages that hold one of these invoices fail, while `odd` names any."""

    def spoiled(request: Request) -> Response | None:
        if request.path != f"{BELOW}/invoices":
            return None
        rows = store.server._list_json(request.query)  # once: rows of one second have no order
        is_odd = odd.intersection(row["id"] for row in rows) and when(request)
        return answer if is_odd else json_response(rows)

    store.server.overrides.append(spoiled)


def spoil_invoices(store: FollowedStore, odd: set[str], answer: Response = FAILED) -> None:
    """Let whatever is asked about one of these invoices alone fail."""

    def spoiled(request: Request) -> Response | None:
        parts = request.path.removeprefix(f"{BELOW}/invoices/").split("/")
        return answer if request.path != parts[0] and parts[0] in odd else None

    store.server.overrides.append(spoiled)


def problems_of(store: FollowedStore) -> list[SourceProblem]:
    """All that stand."""
    return list(store.record.health.problems)


def subjects(store: FollowedStore) -> set[str]:
    """What the problems that make the store worse are about."""
    return {problem.subject for problem in problems_of(store) if problem.state != "ok"}


def settle(store: FollowedStore, count: int) -> list[str]:
    """So many settled invoices with a payment each, an hour apart, newest first; their ids."""
    ids = store.server.add_many(count, status="Settled")
    for number, invoice_id in enumerate(ids):
        store.server.pay(invoice_id, payment(number))
    return ids

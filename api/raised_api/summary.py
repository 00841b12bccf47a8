"""The summary: what has really been raised, in one answer."""

from raised.db import summary as record
from raised.db.sums import (
    RAISING,
    RETURNING,
    Window,
    contributions_in,
    msats_of,
    sums_by_kind,
)
from raised_api.routes import BASE, Asked, Route
from raised_api.shapes import Summary

_DAY = 86_400
_WINDOWS = {"last_24h": _DAY, "last_7d": 7 * _DAY, "last_30d": 30 * _DAY}

# There is no store in the record yet; its place in the answer is a promise to clients.
_NO_STORES: dict[str, object] = {
    "raised_sats": 0,
    "returned_sats": 0,
    "net_sats": 0,
    "pending_sats": 0,
    "disowned_sats": 0,
    "off_platform_invoices": 0,
    "invoices": 0,
    "invoices_by_status": {
        "New": 0,
        "Processing": 0,
        "Settled": 0,
        "Expired": 0,
        "Invalid": 0,
        "Other": 0,
    },
    "other_currencies": [],
}


async def summary(asked: Asked) -> dict[str, object]:
    """The answer of the summary."""
    totals = await record.angor_totals(asked.conn)
    investors = await record.count_investors(asked.conn)
    answer: dict[str, object] = {
        "network": await record.read_network(asked.conn),
        "as_of": asked.ground(),
        "projects": await record.project_counts(asked.conn),
        "totals": {
            "raised_sats": totals.raised,
            "returned_sats": totals.returned,
            "net_sats": totals.net,
            "unconfirmed_sats": totals.unconfirmed,
            "contributions": totals.investments,
            "contributors": investors,
            "average_contribution_sats": totals.raised // max(totals.investments, 1),
            "median_contribution_sats": await record.median_contribution(asked.conn),
        },
        "angor": _angor(totals, investors),
        "btcpay": _NO_STORES,
    }
    for name, seconds in _WINDOWS.items():
        answer[name] = await _window(asked, seconds)
    return answer


def _angor(totals: record.AngorTotals, investors: int) -> dict[str, int]:
    return {
        "raised_sats": totals.raised,
        "returned_sats": totals.returned,
        "net_sats": totals.net,
        "locked_sats": totals.locked,
        "claimed_sats": totals.claimed,
        "unknown_sats": totals.unknown,
        "in_penalty_sats": totals.in_penalty,
        "penalty_released_sats": totals.penalty_released,
        "unconfirmed_sats": totals.unconfirmed,
        "investments": totals.investments,
        "investors": investors,
        "rejected_investments": totals.rejected_investments,
    }


async def _window(asked: Asked, seconds: int) -> dict[str, int]:
    window = Window(asked.minute - seconds, asked.minute)
    sums = await sums_by_kind(asked.conn, window)
    return {
        "raised_sats": msats_of(sums, RAISING) // 1000,
        "returned_sats": msats_of(sums, RETURNING) // 1000,
        "contributions": await contributions_in(asked.conn, window),
    }


SUMMARY = Route(
    path=f"{BASE}/summary",
    name="summary",
    about="What has really been raised: totals over all projects, and lately.",
    answer=summary,
    shape=Summary,
)

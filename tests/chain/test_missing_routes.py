"""Explorers that lack a route, each saying so in its own words: another route is asked instead."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.intercepting_transport import InterceptingTransport

ONE = ProjectTotals(99_000, 0, 1)
PAGE = "<html><body>Cannot GET</body></html>"
ANSWERS: dict[str, Callable[[], httpx.Response]] = {
    "404 as electrs says it": lambda: httpx.Response(404, text='endpoint does not exist "/tx"'),
    "404 in two words": lambda: httpx.Response(404, text="Not Found"),
    "404 as JSON": lambda: httpx.Response(404, json={"error": "Not Found"}),
    "404 as a page": lambda: httpx.Response(404, text=PAGE),
    "404 without a word": lambda: httpx.Response(404),
    "400": lambda: httpx.Response(400, text="Bad Request"),
    "405": lambda: httpx.Response(405, json={"error": "Method not allowed"}),
    "410": lambda: httpx.Response(410),
    "501": lambda: httpx.Response(501, text="Not Implemented"),
    "500 as the mempool backend says it": lambda: httpx.Response(
        500, json={"error": "Failed to get merkle proof"}
    ),
    "the page of an application for browsers": lambda: httpx.Response(200, text=PAGE),
}
every_answer = pytest.mark.parametrize("answer", ANSWERS)


def missing(route: str, answer: str) -> InterceptingTransport:
    """Explorers that give this answer on all paths with this end."""
    transport = InterceptingTransport()
    transport.instead = lambda path: ANSWERS[answer]() if path.endswith(route) else None
    return transport


@every_answer
@pytest.mark.parametrize("route", ["/merkleblock-proof", "/merkle-proof"])
async def test_a_missing_proof_route_is_replaced_by_the_other(
    writer: AsyncEngine, route: str, answer: str
) -> None:
    async with funded_project() as funded:
        settings, transport = fast_settings(funded.world), missing(route, answer)
        async with following(settings, writer, funded.project, transport) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE
            health = observed.health(funded.world.explorer)
            assert health is not None
            assert health.state == "ok"


@every_answer
async def test_a_header_is_rebuilt_from_its_block_where_its_own_route_is_missing(
    writer: AsyncEngine, answer: str
) -> None:
    async with funded_project() as funded:
        transport, settings = missing("/header", answer), fast_settings(funded.world)
        without_header = transport.instead
        transport.instead = lambda path: (
            httpx.Response(404) if path.endswith("/merkleblock-proof") else without_header(path)
        )
        async with following(settings, writer, funded.project, transport) as observed:
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(funded.project) == ONE


async def test_the_route_that_serves_proofs_is_asked_first_from_then_on(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded:
        for _ in range(5):
            funded.mine_investment()
        asked: list[str] = []
        transport = InterceptingTransport()

        def without_merkleblocks(path: str) -> httpx.Response | None:
            asked.append(path)
            return httpx.Response(404) if path.endswith("/merkleblock-proof") else None

        transport.instead = without_merkleblocks
        settings = fast_settings(funded.world)
        async with following(settings, writer, funded.project, transport) as observed:
            await observed.wait_until_caught_up(funded.world)
        assert len([path for path in asked if path.endswith("/merkleblock-proof")]) == 1

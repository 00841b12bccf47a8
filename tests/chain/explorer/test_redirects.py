"""Explorers whose address redirects: followed on the same host; another host is named."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from raised.chain.explorer.esplora import Esplora
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer.probe import probe
from raised.chain.settings import ExplorerSettings, RateLimit
from raised.domain.angor.network import network_named
from raised.errors import Refused

NETWORK = network_named("regtest")
FAST = RateLimit(per_second=1e6, burst=1000, base_seconds=0.001, cap_seconds=0.002)
TIP = "ab" * 32
SUMS = {"tx_count": 0, "funded_txo_sum": 0, "spent_txo_sum": 0}
permanent = pytest.mark.parametrize("status", [301, 308])
every_status = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])


def explorer(request: httpx.Request) -> httpx.Response:
    """A server with its routes below /api."""
    path = request.url.path
    if path == "/api/block-height/0":
        return httpx.Response(200, text=NETWORK.genesis)
    if path == "/api/blocks/tip/hash":
        return httpx.Response(200, text=TIP)
    if path.startswith("/api/address/"):
        return httpx.Response(200, json={"chain_stats": SUMS, "mempool_stats": SUMS})
    return httpx.Response(404)


class Web:
    """Hosts by their address; `asked` are the addresses of all requests."""

    def __init__(self, hosts: Mapping[str, Callable[[httpx.Request], httpx.Response]]) -> None:
        self.asked: list[str] = []
        self._hosts = hosts

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return self._hosts[f"{request.url.scheme}://{request.url.netloc.decode()}"](request)

    @asynccontextmanager
    async def http(self, url: str) -> AsyncIterator[ExplorerHttp]:
        http = ExplorerHttp(
            ExplorerSettings(url, rate_limit=FAST), httpx.MockTransport(self.answer)
        )
        try:
            yield http
        finally:
            await http.close()

    async def met(self, url: str) -> Esplora:
        """The adapter before this address, once its tip was read twice."""
        async with self.http(url) as http:
            adapter = await probe(http, NETWORK)
            assert await adapter.tip_hash() == TIP
            assert await adapter.tip_hash() == TIP
            return adapter


def to(
    location: str, status: int = 301, *, path: bool = True
) -> Callable[[httpx.Request], httpx.Response]:
    """Redirects every request to this place, with its path behind it."""

    def redirect(request: httpx.Request) -> httpx.Response:
        target = location + request.url.path if path else location
        return httpx.Response(status, headers={"Location": target})

    return redirect


@every_status
async def test_http_leads_to_https_of_the_same_host(status: int) -> None:
    hosts = {"http://a.test": to("https://a.test", status), "https://a.test": explorer}
    await Web(hosts).met("http://a.test/api")


@every_status
@pytest.mark.parametrize("location", ["https://a.test:8443", "http://A.TEST:80/new"])
async def test_another_port_or_path_of_the_same_host_is_followed(
    status: int, location: str
) -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/new"):
            return to(location, status)(request)
        return explorer(
            httpx.Request("GET", f"http://a.test{request.url.path.removeprefix('/new')}")
        )

    await Web({"http://a.test": moved, "https://a.test:8443": explorer}).met("http://a.test/api")


async def test_a_relative_address_is_followed() -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        is_old = not request.url.path.startswith("/api")
        return to("/api")(request) if is_old else explorer(request)

    await Web({"http://a.test": moved}).met("http://a.test/")


@permanent
async def test_a_permanent_redirect_is_followed_once(status: int) -> None:
    web = Web({"http://a.test": to("https://a.test", status), "https://a.test": explorer})
    await web.met("http://a.test/api")
    assert len([url for url in web.asked if url.startswith("http://")]) == 1


@every_status
@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://b.test", "redirects to b.test"),
        ("https://b.test:8443/api", "redirects to b.test:8443"),
        ("https://a.test.evil.test", "redirects to a.test.evil.test"),
        ("https://user:secret@b.test", "redirects to b.test"),
        ("file:///etc/passwd", "redirects to no valid address"),
        ("https://[", "redirects to another host"),
    ],
)
async def test_another_host_is_named_and_not_asked(status: int, location: str, reason: str) -> None:
    web = Web({"http://a.test": to(location, status)})
    async with web.http("http://a.test/api") as http:
        with pytest.raises(Refused) as caught:
            await probe(http, NETWORK)
        assert (caught.value.code, caught.value.detail) == ("redirects", reason)
        peer = ExplorerPeer(http, NETWORK)
        assert not await peer.poll_tip()
        assert peer.state == "down"
        assert peer.health("blocks", ()).last_error == ("redirects", reason)


async def test_https_is_not_left_for_http() -> None:
    web = Web({"https://a.test": to("http://a.test"), "http://a.test": explorer})
    async with web.http("https://a.test/api") as http:
        with pytest.raises(Refused, match="without https"):
            await probe(http, NETWORK)
    assert not [url for url in web.asked if url.startswith("http://")]


async def test_a_circle_of_redirects_ends() -> None:
    web = Web({"http://a.test": to("https://a.test"), "https://a.test": to("https://a.test")})
    async with web.http("http://a.test") as http:
        with pytest.raises(Refused, match="redirects more than 3 times"):
            await probe(http, NETWORK)
    assert len(web.asked) <= 12  # four for each of three bases


async def test_a_redirect_of_one_question_leaves_the_others_alone() -> None:
    def gate(request: httpx.Request) -> httpx.Response:
        if "/raw" in request.url.path:
            return to("https://files.test", path=False)(request)
        return explorer(request)

    web = Web({"http://a.test": gate})
    async with web.http("http://a.test/api") as http:
        adapter = await probe(http, NETWORK)
        with pytest.raises(Refused, match="redirects to files"):
            await adapter.raw_block(TIP)
        assert await adapter.tip_hash() == TIP

"""The way to a server over real HTTP, TLS and SOCKS: patience, limits and secrets."""

import asyncio
import datetime as dt
import ipaddress
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.rig.canned_greenfield import (
    FAST_RETRY,
    KEY,
    STORE,
    CannedGreenfield,
    json_response,
    vector,
)

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import SMALL, RetryPolicy
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.settings import StoreSettings
from raised.clock import now
from raised.errors import BadData, ConfigError, Refused, SourceError, Unavailable
from raised_simnet.http.http_server import Request, Response

HEALTH = json_response(vector("health"))
BUSY = Response(503, b"<html>back soon</html>", "text/html")
ONCE = replace(FAST_RETRY, attempts=1)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server by hand, for what a tidy one would not do; its port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side is gone
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def before(
    url: str, retry_policy: RetryPolicy = ONCE, **changes: object
) -> AsyncIterator[Greenfield]:
    """A store at this address."""
    settings = replace(StoreSettings("shop", url, STORE, KEY), **changes)  # type: ignore[arg-type]
    client = Greenfield(settings, retry_policy=retry_policy)
    try:
        yield client
    finally:
        await client.close()


async def failing(client: Greenfield) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await client.is_synchronized()
    return caught.value


async def test_a_busy_server_is_asked_again(server: CannedGreenfield) -> None:
    server.answer("health", BUSY, Response(429), Response(502, b"<html/>", "text/html"), HEALTH)
    client = server.client()
    assert await client.is_synchronized()
    assert len(server.requests) == 4
    assert client.stats.errors == {"busy": 3}
    assert client.stats.last_success_at is not None


async def test_a_server_that_stays_busy_is_given_up_after_five_tries(
    server: CannedGreenfield,
) -> None:
    server.answer("health", BUSY)
    assert (await failing(server.client())).code == "busy"
    assert len(server.requests) == 5


async def test_a_page_instead_of_json_is_asked_for_again(server: CannedGreenfield) -> None:
    server.answer("health", Response(200, b"<html>starting</html>", "text/html"), HEALTH)
    assert await server.client().is_synchronized()


async def test_what_is_refused_is_not_asked_again(server: CannedGreenfield) -> None:
    server.answer("health", json_response({"code": "unauthenticated", "message": ""}, 401))
    error = await failing(server.client())
    assert (type(error), error.code) == (Refused, "unauthenticated")
    assert len(server.requests) == 1


async def test_what_changes_something_is_sent_once(server: CannedGreenfield) -> None:
    server.answer("/webhooks", BUSY)
    with pytest.raises(Unavailable):
        await server.client().create_webhook("https://here", "s", ["InvoiceSettled"])
    assert len(server.requests) == 1


async def test_a_server_that_asks_for_a_second_gets_it(server: CannedGreenfield) -> None:
    server.answer("health", Response(429, headers={"Retry-After": "1"}), HEALTH)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await server.client().is_synchronized()
    assert loop.time() - began >= 1


async def test_a_server_that_wants_more_time_is_left_alone_by_everybody(
    server: CannedGreenfield,
) -> None:
    server.answer("health", Response(503, headers={"Retry-After": "600"}), HEALTH)
    client = server.client()
    error = await failing(client)
    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after) == ("busy", 600)
    again = await failing(client)
    assert isinstance(again, Unavailable)
    assert again.code == "resting"
    assert 590 < (again.retry_after or 0) <= 600
    assert len(server.requests) == 1
    assert client.stats.errors == {"busy": 1}


async def test_a_rest_ends(server: CannedGreenfield) -> None:
    server.answer("health", Response(503, headers={"Retry-After": "9"}), HEALTH)
    client = server.client(
        retry_policy=replace(FAST_RETRY, longest_wait_seconds=1, longest_rest_seconds=0.02)
    )
    await failing(client)
    await asyncio.sleep(0.03)
    assert await client.is_synchronized()


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 5000, "1.5", "²"])
async def test_a_strange_retry_after_is_ignored(server: CannedGreenfield, value: str) -> None:
    headers = {"Retry-After": value.encode().decode("latin-1")}
    server.answer("health", Response(503, headers=headers), HEALTH)
    assert await server.client().is_synchronized()


async def test_a_redirect_is_not_followed(server: CannedGreenfield) -> None:
    server.answer("health", Response(302, headers={"Location": "/elsewhere"}))
    server.answer("*", HEALTH)
    assert (await failing(server.client())).code == "redirect"
    assert len(server.requests) == 1


async def test_a_session_is_not_kept(server: CannedGreenfield) -> None:
    server.answer("health", replace(HEALTH, headers={"Set-Cookie": "a=b"}))
    client = server.client()
    await client.is_synchronized()
    await client.is_synchronized()
    assert "cookie" not in server.requests[1].headers


async def test_packed_answers_are_refused(server: CannedGreenfield) -> None:
    server.answer("health", replace(HEALTH, headers={"Content-Encoding": "gzip"}))
    assert (await failing(server.client())).code == "bad_answer"
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_packed_error_is_still_an_error(server: CannedGreenfield) -> None:
    server.answer("health", replace(BUSY, headers={"Content-Encoding": "gzip"}), HEALTH)
    assert await server.client().is_synchronized()


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        while True:
            writer.write(b"5," * 8192)
            await writer.drain()
            sent += 16384

    async with listening(endless) as port, before(f"http://127.0.0.1:{port}") as client:
        error = await failing(client)
    assert (type(error), error.code) == (BadData, "too_long")
    assert sent < 64 * SMALL


async def test_an_error_without_end_is_an_error() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 16384)
            await writer.drain()

    async with listening(endless) as port, before(f"http://127.0.0.1:{port}") as client:
        assert (await failing(client)).code == "no_route"


async def test_an_answer_that_is_cut_short_is_asked_for_again(server: CannedGreenfield) -> None:
    whole = json_response(vector("invoice_list_with_payment_methods_2.4.1"))
    server.answer("/invoices", replace(whole, cut_at=3_000), whole)
    client = server.client()
    assert (await client.invoices(InvoicePage())).raw_count == 4
    assert client.stats.errors == {"unreachable": 1}


async def test_a_server_that_is_not_there_cannot_be_reached(server: CannedGreenfield) -> None:
    client = server.client(retry_policy=ONCE)
    server.refuse()
    assert (await failing(client)).code == "unreachable"


@pytest.mark.parametrize("garbage", [b"SSH-2.0-x\r\n", b"HTTP/9.9 boo\r\n\r\n", b"\0" * 99, b""])
async def test_a_server_that_speaks_something_else_cannot_be_reached(garbage: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)

    async with listening(talk) as port, before(f"http://127.0.0.1:{port}") as client:
        assert (await failing(client)).code == "unreachable"


async def test_a_server_that_does_not_answer_in_time_is_given_up(server: CannedGreenfield) -> None:
    async def sleepy(_request: Request) -> Response:
        await asyncio.sleep(0.5)
        return HEALTH

    server.answer("health", sleepy)
    assert (
        await failing(server.client(retry_policy=replace(ONCE, read_seconds=0.05)))
    ).code == "timeout"


async def test_an_answer_that_trickles_is_given_up() -> None:
    """Each byte comes in time, the whole does not."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    pace = replace(ONCE, whole_seconds=0.1)
    async with listening(trickle) as port, before(f"http://127.0.0.1:{port}", pace) as client:
        assert (await failing(client)).code == "timeout"


async def test_the_clock_of_the_server_is_compared(server: CannedGreenfield) -> None:
    client = server.client()
    server.answer("health", HEALTH)
    await client.is_synchronized()
    before_it = client.skew_seconds
    ahead = dt.datetime.fromtimestamp(now() + 300, dt.UTC)
    told = {"Date": format_datetime(ahead, usegmt=True)}
    server.answer("health", replace(HEALTH, headers=told))
    await client.is_synchronized()
    assert before_it is None
    assert 295 <= (client.skew_seconds or 0) <= 300
    for odd in ("yesterday", "Mon, 99 Jan 99999 00:00:00 GMT", "1"):
        server.answer("health", replace(HEALTH, headers={"Date": odd}))
        assert await client.is_synchronized()


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel", "x" * 501, " mykey"])
def test_a_key_that_can_be_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Greenfield(StoreSettings("shop", "http://pay.test", STORE, key))
    assert "btcpay shop" in str(caught.value)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "pay.test", "ftp://pay.test", "http://", "http://[::1", "https://pay.test?a=b"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="btcpay shop: url"):
        Greenfield(StoreSettings("shop", url, STORE, KEY))


async def test_the_key_is_in_no_log_no_error_and_no_representation(
    server: CannedGreenfield, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer("health", HEALTH)
    server.answer("server/info", BUSY)
    server.answer("api-keys/current", json_response({"apiKey": KEY, "permissions": 5}))
    client = server.client()
    await client.is_synchronized()
    shown_texts = [repr(client), str(client.stats), repr(client.__dict__)]
    for ask in (client.server, client.permissions):
        with pytest.raises(SourceError) as caught:
            await ask()
        shown_texts.append("".join(traceback.format_exception(caught.value)))
    async with before("http://127.0.0.1:1") as nowhere:
        error = await failing(nowhere)
        shown_texts.append("".join(traceback.format_exception(error)))
    assert len(caplog.records) > 5
    assert KEY not in caplog.text
    assert all(KEY not in text for text in shown_texts)


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of our own for loopback: the file to trust, and the server's side."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    moment = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - dt.timedelta(days=1))
        .not_valid_after(moment + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = folder / "ca.pem", folder / "key.pem"
    trusted.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, secret)
    return trusted, context


async def answer_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n")
    writer.write(b'{"synchronized":true}')
    await writer.drain()


async def test_a_certificate_is_checked_against_the_authority_that_is_named(tmp_path: Path) -> None:
    trusted, tls = authority(tmp_path)
    async with listening(answer_health, tls) as port:
        url = f"https://127.0.0.1:{port}"
        async with before(url, ca_file=trusted) as client:
            assert await client.is_synchronized()
        async with before(url, RetryPolicy(attempts=5)) as client:
            error = await failing(client)
            assert client.stats.errors == {"certificate": 1}
        assert error.code == "certificate"
        assert "ca_file" in error.detail
        async with before(url.replace("127.0.0.1", "localhost"), ca_file=trusted) as client:
            assert (await failing(client)).code == "certificate"


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "missing.pem"):
        settings = StoreSettings("shop", "https://pay.test", STORE, KEY, ca_file=path)
        with pytest.raises(ConfigError, match="ca_file"):
            Greenfield(settings)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side is gone
    finally:
        writer.close()


async def test_a_proxy_is_gone_through_and_resolves_the_name(server: CannedGreenfield) -> None:
    """As Tor needs it: no name is looked up here."""
    server.answer("health", HEALTH)
    port = int(server.url.split(":")[2].split("/")[0])
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = (await reader.readexactly(2))[1]
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        await reader.readexactly(4)
        size = (await reader.readexactly(1))[0]
        asked.append(await reader.readexactly(size + 2))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    async with listening(proxy) as proxy_port:
        address = f"socks5h://127.0.0.1:{proxy_port}"
        async with before("http://pay.onion/pay/here", proxy=address) as client:
            assert await client.is_synchronized()
    assert asked == [b"pay.onion\x00\x50"]
    assert server.requests[0].headers["host"] == "pay.onion"


async def test_a_proxy_that_is_away_is_no_server() -> None:
    async with before("http://pay.onion", proxy="socks5h://127.0.0.1:1") as client:
        assert (await failing(client)).code == "unreachable"

"""A client's connection: the key stays secret, certificates are checked, proxies are used."""

import asyncio
import datetime as dt
import ipaddress
import logging
import ssl
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.btcpay.client.conftest import BUSY, HEALTH, client_of, failing, listening
from tests.rig.canned_greenfield import (
    KEY,
    STORE,
    CannedGreenfield,
    json_response,
)

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.settings import StoreSettings
from raised.errors import ConfigError, SourceError
from raised_simnet.http.http_server import Response


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


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel", "x" * 501, " mykey"])
def test_an_impossible_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Greenfield(StoreSettings("shop", "http://pay.test", STORE, key))
    assert "btcpay shop" in str(caught.value)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "pay.test", "ftp://pay.test", "http://", "http://[::1", "https://pay.test?a=b"]
)
def test_an_invalid_address_is_refused(url: str) -> None:
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
    async with client_of("http://127.0.0.1:1") as nowhere:
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


async def test_a_certificate_is_checked_against_the_configured_authority(tmp_path: Path) -> None:
    trusted, tls = authority(tmp_path)
    async with listening(answer_health, tls) as port:
        url = f"https://127.0.0.1:{port}"
        async with client_of(url, ca_file=trusted) as client:
            assert await client.is_synchronized()
        async with client_of(url, RetryPolicy(attempts=5)) as client:
            error = await failing(client)
            assert client.stats.errors == {"certificate": 1}
        assert error.code == "certificate"
        assert "ca_file" in error.detail
        async with client_of(url.replace("127.0.0.1", "localhost"), ca_file=trusted) as client:
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


async def test_requests_go_through_a_proxy_which_resolves_the_name(
    server: CannedGreenfield,
) -> None:
    """As Tor needs it: no name is looked up here."""
    server.answer("health", HEALTH)
    port = int(server.url.split(":")[2].split("/")[0])
    destinations: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = (await reader.readexactly(2))[1]
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        await reader.readexactly(4)
        size = (await reader.readexactly(1))[0]
        destinations.append(await reader.readexactly(size + 2))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    async with listening(proxy) as proxy_port:
        address = f"socks5h://127.0.0.1:{proxy_port}"
        async with client_of("http://pay.onion/pay/here", proxy=address) as client:
            assert await client.is_synchronized()
    assert destinations == [b"pay.onion\x00\x50"]
    assert server.requests[0].headers["host"] == "pay.onion"


async def test_a_proxy_that_cannot_be_reached_makes_the_server_unreachable() -> None:
    async with client_of("http://pay.onion", proxy="socks5h://127.0.0.1:1") as client:
        assert (await failing(client)).code == "unreachable"

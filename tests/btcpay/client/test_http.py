"""A client over real HTTP: which requests are repeated, which answers are refused, and when."""

import asyncio
import datetime as dt
from dataclasses import replace
from email.utils import format_datetime

import pytest
from tests.btcpay.client.conftest import BUSY, HEALTH, ONCE, client_of, failing, listening
from tests.rig.canned_greenfield import (
    FAST_RETRY,
    CannedGreenfield,
    json_response,
    vector,
)

from raised.btcpay.client.http import SMALL
from raised.btcpay.client.invoice_query import InvoicePage
from raised.clock import now
from raised.errors import BadData, Refused, Unavailable
from raised_simnet.http.http_server import Request, Response


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


async def test_a_refused_request_is_not_repeated(server: CannedGreenfield) -> None:
    server.answer("health", json_response({"code": "unauthenticated", "message": ""}, 401))
    error = await failing(server.client())
    assert (type(error), error.code) == (Refused, "unauthenticated")
    assert len(server.requests) == 1


async def test_a_request_that_changes_something_is_sent_once(server: CannedGreenfield) -> None:
    server.answer("/webhooks", BUSY)
    with pytest.raises(Unavailable):
        await server.client().create_webhook("https://here", "s", ["InvoiceSettled"])
    assert len(server.requests) == 1


async def test_a_short_retry_after_is_waited_for(server: CannedGreenfield) -> None:
    server.answer("health", Response(429, headers={"Retry-After": "1"}), HEALTH)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await server.client().is_synchronized()
    assert loop.time() - began >= 1


async def test_a_long_retry_after_stops_all_requests_of_the_client(
    server: CannedGreenfield,
) -> None:
    server.answer("health", Response(503, headers={"Retry-After": "600"}), HEALTH)
    server.answer("/invoices", Response(429, headers={"Retry-After": "600"}))
    client = server.client()
    error = await failing(client)
    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after) == ("busy", 600)
    again = await failing(client)
    assert isinstance(again, Unavailable)
    assert again.code == "resting"
    assert 590 < (again.retry_after or 0) <= 600
    assert len(server.requests) == 2, "the question, and the check whether it is the server's wish"
    assert client.stats.errors == {"busy": 2}


async def test_a_long_retry_after_of_one_question_stops_no_other(server: CannedGreenfield) -> None:
    server.answer("health", Response(503, headers={"Retry-After": "600"}), HEALTH)
    server.answer("/invoices", json_response([]))
    client = server.client()
    assert (await failing(client)).code == "busy"
    assert await client.is_synchronized()
    assert len(server.requests) == 3


async def test_requests_resume_after_the_longest_rest(server: CannedGreenfield) -> None:
    server.answer("health", Response(503, headers={"Retry-After": "9"}), HEALTH)
    client = server.client(
        retry_policy=replace(FAST_RETRY, longest_wait_seconds=1, longest_rest_seconds=0.02)
    )
    await failing(client)
    await asyncio.sleep(0.03)  # the rest, which the server wished to be longer, and a little
    assert await client.is_synchronized()


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 5000, "1.5", "²"])
async def test_a_strange_retry_after_is_ignored(server: CannedGreenfield, value: str) -> None:
    headers = {"Retry-After": value.encode().decode("latin-1")}
    server.answer("health", Response(503, headers=headers), HEALTH)
    assert await server.client().is_synchronized()


async def test_packed_answers_are_refused(server: CannedGreenfield) -> None:
    server.answer("health", replace(HEALTH, headers={"Content-Encoding": "gzip"}))
    assert (await failing(server.client())).code == "bad_answer"
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_packed_error_is_still_an_error(server: CannedGreenfield) -> None:
    server.answer("health", replace(BUSY, headers={"Content-Encoding": "gzip"}), HEALTH)
    assert await server.client().is_synchronized()


async def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        while True:
            writer.write(b"5," * 8192)
            await writer.drain()
            sent += 16384

    async with listening(endless) as port, client_of(f"http://127.0.0.1:{port}") as client:
        error = await failing(client)
    assert (type(error), error.code) == (BadData, "too_long")
    assert sent < 64 * SMALL


async def test_an_endless_error_is_an_error() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 16384)
            await writer.drain()

    async with listening(endless) as port, client_of(f"http://127.0.0.1:{port}") as client:
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

    async with listening(talk) as port, client_of(f"http://127.0.0.1:{port}") as client:
        assert (await failing(client)).code == "unreachable"


async def test_a_server_that_does_not_answer_in_time_is_a_timeout(server: CannedGreenfield) -> None:
    async def sleepy(_request: Request) -> Response:
        await asyncio.sleep(0.5)  # ten times as long as the client waits
        return HEALTH

    server.answer("health", sleepy)
    assert (
        await failing(server.client(retry_policy=replace(ONCE, read_seconds=0.05)))
    ).code == "timeout"


async def test_an_answer_that_trickles_is_a_timeout() -> None:
    """Each byte comes in time, the whole does not."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    pace = replace(ONCE, whole_seconds=0.1)
    async with listening(trickle) as port, client_of(f"http://127.0.0.1:{port}", pace) as client:
        assert (await failing(client)).code == "timeout"


async def test_the_clock_of_the_server_is_compared(server: CannedGreenfield) -> None:
    client = server.client()
    server.answer("health", HEALTH)
    await client.is_synchronized()
    before_it = client.skew_seconds
    ahead = dt.datetime.fromtimestamp(now() + 300, dt.UTC)
    headers = {"Date": format_datetime(ahead, usegmt=True)}
    server.answer("health", replace(HEALTH, headers=headers))
    await client.is_synchronized()
    assert before_it is None
    assert 295 <= (client.skew_seconds or 0) <= 300
    for odd in ("yesterday", "Mon, 99 Jan 99999 00:00:00 GMT", "1"):
        server.answer("health", replace(HEALTH, headers={"Date": odd}))
        assert await client.is_synchronized()

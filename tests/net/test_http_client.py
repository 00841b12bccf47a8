"""One client for every source: tries, budgets, deadlines and errors, without a network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from raised.errors import BadData, Refused, SourceError, Unavailable
from raised.net.http_client import (
    RESTING,
    ClientSettings,
    Deadlines,
    HttpClient,
    HttpRequest,
    HttpResponse,
    Retries,
    is_http_url,
)

SETTINGS = ClientSettings(Deadlines(1.0, 2.0, 4.0), connections=2)
RETRIES = Retries(3, 1.0, 60.0, lambda error: error.code != "final", honours_retry_after=True)
REQUEST = HttpRequest("http://host.test/path", limit=100)


class Budget:
    """Remembers what the client tells it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rests = False

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        if self.rests:
            raise Unavailable("host", "rests", RESTING)
        self.events.append("permit")
        yield

    def on_success(self) -> None:
        self.events.append("success")

    def on_error(self, error: SourceError) -> None:
        self.events.append(error.code)

    def on_give_up(self) -> None:
        self.events.append("give up")


class Host:
    """A client, and a host that gives these answers in order, the last one again and again."""

    def __init__(
        self,
        *answers: httpx.Response | Exception,
        settings: ClientSettings = SETTINGS,
        retries: Retries = RETRIES,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.budget = Budget()
        self._answers = list(answers)
        self.client = HttpClient(
            "host",
            settings,
            self.budget,
            retries,
            transport=httpx.MockTransport(self._answer),
            sleep=self._sleep,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def fails(self, request: HttpRequest = REQUEST) -> SourceError:
        with pytest.raises(SourceError) as caught:
            await self.client.get(request, body_of)
        assert caught.value.source == "host"
        return caught.value


def body_of(response: HttpResponse) -> bytes:
    """A small table of what a status means."""
    if response.status == 503:
        raise Unavailable("host", "is busy", "busy", response.retry_after)
    if response.status == 410:
        raise Unavailable("host", "is busy for ever", "final")
    if response.status == 403:
        raise Refused("host", "refuses", "refused")
    return response.body


def busy(**headers: str) -> httpx.Response:
    return httpx.Response(503, headers={key.replace("_", "-"): headers[key] for key in headers})


async def test_an_answer_is_read_and_counted() -> None:
    host = Host(httpx.Response(200, content=b"yes"))
    assert await host.client.get(REQUEST, body_of) == b"yes"
    assert host.budget.events == ["permit", "success"]
    assert host.client.stats.last_success_at is not None
    assert host.client.stats.latency_ms is not None
    assert host.client.waiting_seconds == 0
    assert host.requests[0].headers["user-agent"].startswith("raised/")


async def test_a_busy_host_is_asked_again_after_growing_pauses() -> None:
    host = Host(busy(), busy(), httpx.Response(200, content=b"yes"))
    assert await host.client.get(REQUEST, body_of) == b"yes"
    first, second = host.pauses
    assert 0.1 <= first <= 1.0
    assert 0.2 <= second <= 2.0
    assert host.client.stats.errors == {"busy": 2}
    assert host.budget.events == ["permit", "busy", "permit", "busy", "permit", "success"]


async def test_after_the_last_try_the_budget_is_told() -> None:
    host = Host(busy())
    assert (await host.fails()).code == "busy"
    assert host.budget.events == ["permit", "busy"] * 3 + ["give up"]
    assert len(host.pauses) == 2


@pytest.mark.parametrize(("status", "code"), [(403, "refused"), (410, "final")])
async def test_what_no_second_try_changes_is_tried_once(status: int, code: str) -> None:
    host = Host(httpx.Response(status))
    assert (await host.fails()).code == code
    assert host.budget.events == ["permit", code]


async def test_what_changes_something_is_sent_once() -> None:
    host = Host(busy())
    with pytest.raises(Unavailable):
        await host.client.send(replace(REQUEST, method="POST", json={"a": 1}), body_of)
    assert [request.content for request in host.requests] == [b'{"a":1}']


async def test_while_the_budget_allows_nothing_nobody_is_asked_and_no_error_counted() -> None:
    host = Host(busy())
    host.budget.rests = True
    assert (await host.fails()).code == RESTING
    assert (host.requests, host.client.stats.errors) == ([], {})


async def test_a_pause_is_as_long_as_the_host_asks_where_that_is_honoured() -> None:
    for honours, longest in ((True, 30.0), (False, 2.0)):
        host = Host(busy(Retry_After="30"), retries=replace(RETRIES, honours_retry_after=honours))
        error = await host.fails()
        assert isinstance(error, Unavailable)
        assert error.retry_after == 30
        assert max(host.pauses) <= longest
        assert not honours or host.pauses == [30.0, 30.0]


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 5000, "1.5", "²"])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(value: str) -> None:
    assert HttpResponse(503, {"retry-after": value}, b"").retry_after is None


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.ConnectTimeout("x"), "timeout"),
        (httpx.ConnectError("x"), "unreachable"),
        (httpx.RemoteProtocolError("x"), "unreachable"),
        (httpx.ProxyError("x"), "unreachable"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "unreachable"),
    ],
)
async def test_errors_of_the_connection_become_ours(raised: Exception, code: str) -> None:
    error = await Host(raised).fails()
    assert (type(error), error.code) == (Unavailable, code)


async def test_a_certificate_is_named_where_somebody_can_act() -> None:
    refused = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")
    error = await Host(refused, settings=replace(SETTINGS, untrusted_hint="see ca_file")).fails()
    assert (error.code, error.detail) == ("certificate", "see ca_file")


async def test_an_answer_is_bounded() -> None:
    for size, is_too_long in ((100, False), (101, True)):
        host = Host(httpx.Response(200, content=b"x" * size))
        if is_too_long:
            error = await host.fails()
            assert (type(error), error.code) == (BadData, "too_long")
        else:
            assert len(await host.client.get(REQUEST, body_of)) == size
    error = await Host(httpx.Response(403, content=b"x" * 10_000_000)).fails()
    assert error.code == "refused", "of an error only the beginning is read"


async def test_compressed_answers_are_refused_where_they_are_not_wanted() -> None:
    packed = httpx.Response(200, headers={"Content-Encoding": "br"}, content=b"")
    plain = replace(SETTINGS, accepts_compressed=False)
    host = Host(packed, settings=plain)
    assert (await host.fails()).code == "bad_answer"
    assert host.requests[0].headers["accept-encoding"] == "identity"


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    moved = httpx.Response(302, headers={"Location": "/other", "Set-Cookie": "a=b"})
    host = Host(moved)
    for _ in range(2):
        await host.client.get(REQUEST, body_of)
    assert [request.url.path for request in host.requests] == ["/path", "/path"]
    assert all("cookie" not in request.headers for request in host.requests)


async def test_the_whole_answer_has_a_deadline_of_its_own() -> None:
    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    client = HttpClient("host", SETTINGS, Budget(), RETRIES, transport=httpx.MockTransport(hang))
    with pytest.raises(Unavailable) as caught:
        await client.send(replace(REQUEST, whole_seconds=0.01), body_of)
    assert caught.value.code == "timeout"
    await client.close()


def test_deadlines_stretch_for_slow_hosts() -> None:
    assert Deadlines(1.0, 2.0, 4.0).times(3.0) == Deadlines(3.0, 6.0, 12.0)


def test_headers_with_secrets_are_in_no_representation() -> None:
    assert "secret" not in repr(replace(SETTINGS, headers={"Authorization": "secret"}))


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("https://pay.test/base", True),
        ("http://[::1]:80", True),
        ("", False),
        ("pay.test", False),
        ("ftp://pay.test", False),
        ("http://", False),
        ("http://[::1", False),
        ("https://pay.test?a=b", False),
        ("https://pay.test#a", False),
    ],
)
def test_an_address_of_a_server_is_told_from_other_text(text: str, accepted: bool) -> None:
    assert is_http_url(text) is accepted

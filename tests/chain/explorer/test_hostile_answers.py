"""Answers meant to break the reader: they are lies or nothing, and never end the process."""

import httpx
import pytest

from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.json_types import MempoolObject, decode
from raised.chain.settings import ExplorerSettings, RateLimit
from raised.errors import BadData, Unavailable


@pytest.mark.parametrize("value", ["\u00b2", "9" * 5000, "-1", "1.5", "soon"])
async def test_a_strange_retry_after_is_no_number(value: str) -> None:
    headers = {b"Retry-After": value.encode("latin-1")}
    transport = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    http = ExplorerHttp(ExplorerSettings("http://explorer.test", rate_limit=RateLimit()), transport)
    with pytest.raises(Unavailable) as caught:
        await http.get("/blocks/tip/hash")
    assert caught.value.code == "rate_limited"
    assert caught.value.retry_after is None
    await http.close()


def test_json_without_a_bottom_is_a_lie() -> None:
    deep = b'{"count":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(BadData):
        decode("http://explorer.test", deep, MempoolObject)

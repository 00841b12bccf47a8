"""What limits are counted by, and keys that open nothing."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from raised_api.http.client_ip import client_address, is_loopback, limited_address
from raised_api.http.refused_keys import RefusedKeys

SUMMARY = "/api/v1/summary"


@pytest.mark.parametrize(
    ("address", "limited"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_ipv6_is_limited_by_its_network(address: str, limited: str) -> None:
    assert limited_address(address) == limited


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.1, 203.0.113.7:50000", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1, ::ffff:127.0.0.1", "2001:db8::1"),
    ],
)
def test_a_forwarded_address_is_read_without_its_port(forwarded: str, address: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope: Any = {"client": ("::ffff:127.0.0.1", 1), "headers": headers}
    assert client_address(scope, ("127.0.0.0/8", "::1")) == address


def test_an_ipv4_address_in_ipv6_is_of_this_machine() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:203.0.113.7")


async def test_many_addresses_of_one_network_have_one_quota(serve: Any) -> None:
    async with serve(rate_limit=3) as api:
        answers = [
            await api.get(SUMMARY, headers={"x-forwarded-for": f"2001:db8::{number:x}"})
            for number in range(1, 5)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        other = {"x-forwarded-for": "2001:db8:0:1::1"}
        assert (await api.get(SUMMARY, headers=other)).status_code == 200


async def test_refused_keys_are_counted(serve: Any) -> None:
    async with serve() as api:
        for _ in range(3):
            answer = await api.get(SUMMARY, headers={"authorization": "Bearer rk_guess"})
            assert answer.status_code == 401
        assert "raised_api_refused_keys_total 3.0" in (await api.get("/metrics")).text


def test_the_log_names_an_address_twice_a_minute_at_most() -> None:
    counted: list[None] = []
    refused = RefusedKeys(lambda: counted.append(None))
    with capture_logs() as logs:
        for _ in range(100):
            refused.note("203.0.113.7", 60)
        assert [(line["address"], line["number"]) for line in logs] == [("203.0.113.7", 1)]
        refused.note("203.0.113.8", 120)
        assert [(line["address"], line["number"]) for line in logs[1:]] == [
            ("203.0.113.7", 99),
            ("203.0.113.8", 1),
        ]
    assert len(counted) == 101


def test_many_addresses_do_not_fill_the_log() -> None:
    refused = RefusedKeys(lambda: None)
    with capture_logs() as logs:
        for number in range(10_000):
            refused.note(f"2001:db8:0:{number:x}::/64", 60)
        refused.note("203.0.113.7", 120)
    assert len(logs) < 100
    assert {"address": "others", "number": 9_950}.items() <= logs[50].items()

"""How often one host is asked, and how long it is left alone after trouble."""

import asyncio

import pytest

from raised.chain.explorer.rate_limit import TokenBucket, rate_limit_for
from raised.chain.settings import RateLimit
from raised.errors import Unavailable

PACE = RateLimit(
    per_second=2, burst=4, base_seconds=1, cap_seconds=8, rest_seconds=60, longest_rest_seconds=240
)


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_burst_is_free_and_then_time_makes_tokens() -> None:
    clock = Clock()
    bucket = TokenBucket("host", PACE, clock)
    assert bucket.available() == 4
    for left in (3, 2, 1, 0):
        await bucket.acquire()
        assert bucket.available() == left
    clock.now += 0.4
    assert bucket.available() == 0
    clock.now += 0.6
    assert bucket.available() == 2
    clock.now += 1e6
    assert bucket.available() == 4
    assert bucket.requests_today == 4


async def test_whoever_finds_the_bucket_empty_waits_for_a_token() -> None:
    bucket = TokenBucket("host", RateLimit(per_second=50, burst=1))
    time = asyncio.get_running_loop().time
    begun = time()
    for _ in range(4):
        await bucket.acquire()
    assert time() - begun >= 3 / 50 * 0.99


@pytest.mark.parametrize(("failures", "longest"), [(1, 1), (2, 2), (3, 4), (4, 8), (9, 8)])
async def test_after_failures_it_rests_longer_each_time_up_to_a_cap(
    failures: int, longest: float
) -> None:
    clock = Clock()
    bucket = TokenBucket("host", PACE, clock)
    for _ in range(failures):
        clock.now += 1e4
        bucket.on_give_up()
    assert longest / 10 <= bucket.rest_seconds <= longest
    assert bucket.available() == 0
    with pytest.raises(Unavailable, match="resting"):
        await bucket.acquire()
    clock.now += bucket.rest_seconds
    await bucket.acquire()


@pytest.mark.parametrize(
    ("times", "asked_for", "rest"), [(1, None, 60), (3, None, 240), (1, 90, 90), (1, 9999, 240)]
)
async def test_after_too_many_requests_it_rests_as_asked_within_bounds(
    times: int, asked_for: int | None, rest: float
) -> None:
    bucket = TokenBucket("host", PACE, Clock())
    for _ in range(times):
        bucket.on_rate_limited(asked_for)
    assert bucket.rest_seconds == rest


async def test_an_answer_ends_all_rests() -> None:
    clock = Clock()
    bucket = TokenBucket("host", PACE, clock)
    bucket.on_give_up()
    bucket.on_rate_limited(None)
    bucket.on_success()
    assert bucket.rest_seconds == 0
    bucket.on_give_up()
    assert bucket.rest_seconds <= 1, "and the next trouble is a first one"


@pytest.mark.parametrize(
    ("url", "per_second"),
    [
        ("https://blockstream.info/api", 0.15),
        ("https://mempool.space/api", 1.0),
        ("http://127.0.0.1:3002", 50.0),
        ("http://localhost:3002", 50.0),
        ("http://10.0.0.7/api", 50.0),
        ("http://umbrel.local/api", 50.0),
        ("http://8.8.8.8/api", 1.0),
    ],
)
def test_the_pace_is_by_whose_machine_it_is(url: str, per_second: float) -> None:
    assert rate_limit_for(url).per_second == per_second

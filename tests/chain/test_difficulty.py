"""Blocks that are easier than those they follow: made up, unless their network allows it."""

from typing import cast

import pytest

from raised.chain.difficulty import may_follow, may_lie_above
from raised.chain.explorer.api import Explorer
from raised.chain.fork import find_fork
from raised.chain.header_chain import HeaderChain
from raised.domain.bitcoin.block import Header
from raised.errors import BadData

HARD = 0x17034219
HARDER = 0x17024219
FOUR_TIMES = 0x170D0864  # four times the target of HARD: the easiest of the next period
MORE = 0x170D0865
EASIEST = 0x1D00FFFF
NOW = 1_800_000_000
PERIOD = 2016
HEIGHT = 900_000  # 864 blocks into its period


def header(bits: int, prev_hash: str = "00" * 32, time: int = 1_700_000_000) -> Header:
    return Header(4, prev_hash, "11" * 32, time, bits, 0)


def grown(bits: list[int]) -> list[Header]:
    """Linked headers."""
    made = [header(bits[0])]
    for next_bits in bits[1:]:
        made.append(header(next_bits, made[-1].hash, made[-1].time + 600))
    return made


class Shows:
    """An explorer that shows these headers, the last of this height."""

    name = "shows"

    def __init__(self, height: int, headers: list[Header]) -> None:
        self._base = height + 1 - len(headers)
        self._headers = headers

    async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
        top = len(self._headers) - 1 if at is None else at - self._base
        heights = range(top, max(top - 10, -1), -1)
        return tuple((self._base + n, self._headers[n]) for n in heights)

    async def block_hash(self, height: int) -> str | None:
        place = height - self._base
        return self._headers[place].hash if 0 <= place < len(self._headers) else None


@pytest.mark.parametrize(
    ("network", "height", "bits", "allowed"),
    [
        ("main", HEIGHT, HARD, True),
        ("main", HEIGHT, HARDER, False),
        ("main", HEIGHT, EASIEST, False),
        ("main", 447 * PERIOD, HARDER, True),
        ("main", 447 * PERIOD, FOUR_TIMES, True),
        ("main", 447 * PERIOD, MORE, False),
        ("main", 447 * PERIOD, EASIEST, False),
        ("angornet", HEIGHT, EASIEST, True),
        ("signet", HEIGHT, EASIEST, True),
        ("testnet", HEIGHT, EASIEST, True),
        ("testnet4", HEIGHT, EASIEST, True),
        ("regtest", HEIGHT, EASIEST, True),
    ],
)
def test_on_the_main_network_bits_change_between_periods_alone(
    network: str, height: int, bits: int, allowed: bool
) -> None:
    assert may_follow(network, height, header(HARD), header(bits)) is allowed


@pytest.mark.parametrize(
    ("gap", "seconds", "bits", "allowed"),
    [
        (200, 200 * 600, HARD, True),
        (200, 200 * 600, EASIEST, False),
        (5_000, 5_000 * 600, FOUR_TIMES, True),
        (5_000, 5_000 * 500, HARD, True),
        (5_000, 5_000 * 600, EASIEST, False),
        (100_000, 200 * 600, EASIEST, False),  # periods without end would allow anything
        (10_000_000, 5_000 * 600, EASIEST, False),
        (3_000_000, 2_000_000_000, EASIEST, False),  # nor does time that is still to come
    ],
)
def test_across_a_gap_blocks_are_as_easy_and_as_many_as_time_allows(
    gap: int, seconds: int, bits: int, allowed: bool
) -> None:
    ours = (HEIGHT, header(HARD))
    claimed = (HEIGHT + gap, header(bits, time=1_700_000_000 + seconds))
    assert may_lie_above("main", ours, claimed, NOW) is allowed


@pytest.mark.parametrize("above", [1, 2, 144, 145, 100_000])
async def test_easy_blocks_on_top_of_ours_are_a_lie(above: int) -> None:
    ours = grown([HARD] * 20)
    made_up = [*ours, *grown([EASIEST] * min(above, 200))]
    for n in range(20, len(made_up)):
        made_up[n] = header(EASIEST, made_up[n - 1].hash, made_up[n - 1].time + 600)
    explorer = cast("Explorer", Shows(HEIGHT + above, made_up))
    with pytest.raises(BadData) as caught:
        await find_fork(explorer, HeaderChain(HEIGHT - 19, ours), 144, "main")
    assert caught.value.code == "easy"


async def test_blocks_as_hard_as_ours_are_followed() -> None:
    ours = grown([HARD] * 20)
    more = list(ours)
    while len(more) < 23:
        more.append(header(HARD, more[-1].hash, more[-1].time + 600))
    explorer = cast("Explorer", Shows(HEIGHT + 3, more))
    fork = await find_fork(explorer, HeaderChain(HEIGHT - 19, ours), 144, "main")
    assert fork is not None
    assert (fork.ancestor, fork.tip_height, list(fork.headers or ())) == (
        HEIGHT,
        HEIGHT + 3,
        more[20:],
    )

"""How easy the blocks of a fork may be, judged by the blocks of ours that they follow.

That a block meets its own target says little when it may name an easy one: without these rules one
explorer could invent blocks of the main network with a home computer. The exact targets would need
the first block of every period; these bounds need no request, and still ask for real work. On all
other networks work is cheap by design, and their rules differ. Source: docs/chain-api.md 14
"""

from typing import Final

from raised.domain.bitcoin.block import Header, target

_MAIN: Final = "main"
_PERIOD: Final = 2016  # blocks between two changes of the target
_MAX_EASING: Final = 4  # of the target from one period to the next
_SPACING_SECONDS: Final = 600
_MAX_SPEEDUP: Final = 2  # blocks never come faster than that for long
_SLACK_BLOCKS: Final = 144  # a day of blocks by luck, so that a short gap always passes
_FUTURE_SECONDS: Final = 7200  # a block may be ahead of our clock


def may_follow(network: str, height: int, parent: Header, header: Header) -> bool:
    """Whether the block at this height may be as easy as it is after its parent."""
    if network != _MAIN:
        return True
    if height % _PERIOD:
        return header.bits == parent.bits
    return target(header.bits) <= _MAX_EASING * target(parent.bits)


def may_lie_above(
    network: str, ours: tuple[int, Header], claimed: tuple[int, Header], now: int
) -> bool:
    """Whether a claimed block may be that far above one of ours, and as easy as it is.

    Blocks are (height, header); `now` is unix seconds.
    """
    if network != _MAIN:
        return True
    (low, below), (high, above) = ours, claimed
    took = max(0, above.time - below.time)
    if (
        above.time > now + _FUTURE_SECONDS
        or high - low > _SLACK_BLOCKS + _MAX_SPEEDUP * took // _SPACING_SECONDS
    ):
        return False
    easing = 1
    for _ in range(low // _PERIOD, high // _PERIOD):
        easing *= _MAX_EASING
    return target(above.bits) <= easing * target(below.bits)

"""How easy the blocks of a branch may be, judged by those of ours that they follow.

That a block meets its own target says little when it may name an easy one: without these rules one
explorer could make up blocks of the main network at home. The exact targets would take the first
block of every period; the bounds take nothing, and leave no way around real work. On all other
networks work is cheap by design, and their rules differ. Source: docs/chain-api.md 14
"""

from typing import Final

from raised.domain.bitcoin.block import Header, target

_MAIN: Final = "main"
_PERIOD: Final = 2016
_MOST_EASIER: Final = 4  # from one period to the next
_SPACING_SECONDS: Final = 600
_SURPLUS: Final = 2  # never do blocks come faster than this for long
_SLACK_BLOCKS: Final = 144
_FUTURE_SECONDS: Final = 7200  # a block may be ahead of our clock


def may_follow(network: str, height: int, parent: Header, header: Header) -> bool:
    """Whether the block of this height may be as easy as it is after its parent."""
    if network != _MAIN:
        return True
    if height % _PERIOD:
        return header.bits == parent.bits
    return target(header.bits) <= _MOST_EASIER * target(parent.bits)


def may_lie_above(
    network: str, held: tuple[int, Header], shown: tuple[int, Header], now: int
) -> bool:
    """Whether a block (height, header) may be that far above one of ours, and as easy as it is."""
    if network != _MAIN:
        return True
    (low, below), (high, above) = held, shown
    took = max(0, above.time - below.time)
    if (
        above.time > now + _FUTURE_SECONDS
        or high - low > _SLACK_BLOCKS + _SURPLUS * took // _SPACING_SECONDS
    ):
        return False
    easier = 1
    for _ in range(low // _PERIOD, high // _PERIOD):
        easier *= _MOST_EASIER
    return target(above.bits) <= easier * target(below.bits)

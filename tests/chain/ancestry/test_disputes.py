"""Two explorers that part below a block both show: one contradicts itself, and is found soon."""

import asyncio
from collections.abc import Mapping
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from raised.chain.ancestry.disputes import Disputes, find_contradicting
from raised.domain.bitcoin.block import Header

LENGTH: Final = 3000
MOST_REQUESTS: Final = 14  # to each: the bits of LENGTH, the first word, and a page of headers


def _chain() -> list[Header]:
    headers = [Header(1, "00" * 32, "11" * 32, 0, 0x207FFFFF, 0)]
    while len(headers) < LENGTH:
        headers.append(Header(1, headers[-1].hash, "11" * 32, len(headers), 0x207FFFFF, 0))
    return headers


CHAIN: Final = _chain()
TOP: Final = (LENGTH - 1, CHAIN[-1].hash)
HEIGHTS: Final = st.integers(0, LENGTH - 2)
WORDS: Final = st.dictionaries(HEIGHTS, st.sampled_from(["aa" * 32, "bb" * 32, None]))


class HeaderExplorer:
    """An explorer of the one chain with other words at some heights."""

    def __init__(self, name: str, hashes: Mapping[int, str | None] | None = None) -> None:
        self._name = name
        self._words = hashes or {}
        self.requests = 0

    @property
    def name(self) -> str:
        return self._name

    async def block_hash(self, height: int) -> str | None:
        self.requests += 1
        return self._words[height] if height in self._words else CHAIN[height].hash

    async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
        self.requests += 1
        assert at is not None
        return tuple((height, CHAIN[height]) for height in range(at, max(-1, at - 10), -1))


@given(HEIGHTS, WORDS, st.booleans())
def test_the_lying_is_named_and_the_honest_one_never(
    height: int, hashes: dict[int, str | None], lies_first: bool
) -> None:
    hashes[height] = hashes.get(height, "cc" * 32)
    lying, honest = HeaderExplorer("lying", hashes), HeaderExplorer("honest")
    reader, witness = (lying, honest) if lies_first else (honest, lying)
    assert asyncio.run(find_contradicting(reader, witness, height, TOP)) == {"lying"}
    assert max(lying.requests, honest.requests) <= MOST_REQUESTS


@given(HEIGHTS, WORDS, WORDS)
def test_of_two_lyings_one_at_least_is_named(
    height: int, first_hashes: dict[int, str | None], other_hashes: dict[int, str | None]
) -> None:
    first_hashes[height], other_hashes[height] = "cc" * 32, "dd" * 32
    first, second = HeaderExplorer("first", first_hashes), HeaderExplorer("second", other_hashes)
    assert asyncio.run(find_contradicting(first, second, height, TOP)) & {"first", "second"}


def test_nobody_is_named_where_both_say_the_same() -> None:
    first_hashes, other_hashes = HeaderExplorer("one"), HeaderExplorer("other")
    assert asyncio.run(find_contradicting(first_hashes, other_hashes, 5, TOP)) == frozenset()


async def test_who_disagrees_with_whom_is_remembered_until_they_agree() -> None:
    disputes = Disputes()
    disputes.record("a", "b", agree=False)
    disputes.record("c", "a", agree=False)
    assert disputes.opponents_of("a") == {"b", "c"}
    assert disputes.opponents_of("b") == {"a"}
    assert disputes.is_doubtful("a")
    assert disputes.is_doubtful("b")
    disputes.record("b", "a", agree=True)
    assert disputes.opponents_of("b") == frozenset()
    assert disputes.opponents_of("a") == {"c"}
    disputes.resolve("a", "c", "c")
    assert disputes.is_doubtful("c")
    assert not disputes.is_doubtful("a")
    assert disputes.opponents_of("a") == {"c"}

"""The life of one connection."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from raised.domain.event import Event
from raised.errors import Unavailable
from raised.nostr.health import RelayHealth
from raised.nostr.library import Way, use_this_loop
from raised.nostr.line import Line
from raised.nostr.settings import Pace, RelaySettings


async def a_connection(url: str) -> "weakref.ref[Line]":
    """Open it, ask something, close it."""

    async def put(event: Event) -> None:
        raise AssertionError(event)

    line = Line(Way(RelaySettings(url), None, Pace()), RelayHealth(url, 1), put, asyncio.Event())
    async with asyncio.TaskGroup() as tasks:
        try:
            await line.connect(tasks)
            assert await line.page({"kinds": [1], "limit": 1}) == []
        finally:
            await line.close()
    return weakref.ref(line)


async def test_a_closed_connection_leaves_nothing_behind(hostile: Any) -> None:
    """Client, policy and line know each other, in part through Rust: a cycle no collector sees."""
    use_this_loop()
    lines = [await a_connection(hostile.url) for _ in range(3)]
    gc.collect()
    assert [line() for line in lines] == [None] * 3


async def test_why_there_is_no_connection(hostile: Any) -> None:
    use_this_loop()
    hostile.down()
    with pytest.raises(ExceptionGroup) as caught:
        await a_connection(hostile.url)
    assert [error.code for error in caught.value.exceptions] == ["refused"]  # type: ignore[union-attr]
    assert caught.group_contains(Unavailable)
    with pytest.raises(ExceptionGroup) as caught:
        await a_connection("ws://nobody.invalid")
    assert [error.code for error in caught.value.exceptions] == ["unknown_host"]  # type: ignore[union-attr]
    hostile.up()

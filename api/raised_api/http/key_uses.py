"""When each key was used last: noted at every request, stored together once a minute.

A lost minute costs an operator nothing, so a record that takes no writes delays no answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import transact
from raised.db.requests.api_keys import put_last_uses
from raised.errors import RecordUnavailable

_STORE_SECONDS: Final = 60.0


class KeyUses:
    """The uses that are not stored yet."""

    def __init__(self, writer: AsyncEngine, clock: Callable[[], int]) -> None:
        self._writer = writer
        self._clock = clock
        self._last_uses: dict[str, int] = {}

    def note(self, key_id: str) -> None:
        """The key with this id is used now."""
        self._last_uses[key_id] = self._clock()

    async def follow(self) -> Never:
        """Store them now and then, for ever."""
        while True:
            await asyncio.sleep(_STORE_SECONDS)
            await self.store()

    async def store(self) -> None:
        """Store them; what cannot be stored now is tried with the next ones."""
        if not self._last_uses:
            return
        taken, self._last_uses = self._last_uses, {}
        try:
            await transact(self._writer, put_last_uses, taken)
        except RecordUnavailable:
            self._last_uses = taken | self._last_uses

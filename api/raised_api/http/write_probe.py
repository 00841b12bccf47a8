"""Whether the record takes what the inbox writes: health says so before a delivery is refused."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from raised.db.requests.inbox import Adder
from raised.errors import RecordUnavailable

# However often health is asked, a disk is not written more often for it.
_INTERVAL_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 6.0  # health is answered after this time, whatever the database does

_log = structlog.get_logger()


class WriteProbe:
    """Tries to write when it is asked, one attempt for all who ask meanwhile."""

    def __init__(self, adder: Adder, clock: Callable[[], int]) -> None:
        self._adder = adder
        self._clock = clock
        self._attempt: asyncio.Future[bool] | None = None
        self._begun_at = 0.0
        self._is_writable = True

    async def is_writable(self) -> bool:
        """Whether the last attempt succeeded; an attempt that does not end has not."""
        now = asyncio.get_running_loop().time()
        if self._attempt is None or self._is_over(self._attempt, now):
            # Outside a TaskGroup: it ends with the statement, not with who has asked first.
            self._attempt = asyncio.ensure_future(self._try())  # noqa: TID251
            self._begun_at = now
        left = max(0.0, self._begun_at + _LONGEST_SECONDS - now)
        await asyncio.wait({self._attempt}, timeout=left)
        return self._attempt.done() and self._attempt.result()

    def _is_over(self, attempt: asyncio.Future[bool], now: float) -> bool:
        return attempt.done() and now - self._begun_at >= _INTERVAL_SECONDS

    async def _try(self) -> bool:
        try:
            await self._adder.probe(self._clock())
        except RecordUnavailable as error:
            if self._is_writable:
                _log.error("record cannot be written", reason=str(error))
            self._is_writable = False
        else:
            if not self._is_writable:
                _log.info("record can be written again")
            self._is_writable = True
        return self._is_writable

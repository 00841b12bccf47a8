"""Requests with a key that opens nothing: counted, and logged so that strangers fill no disk."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

_WINDOW_SECONDS: Final = 60
_MAX_ADDRESSES: Final = 50  # that are named in a minute; the others are only counted

_log = structlog.get_logger()


class RefusedKeys:
    """Logs the first refusal of an address in each minute, and how many had come since the last."""

    def __init__(self, on_refused: Callable[[], object]) -> None:
        self._on_refused = on_refused
        self._window = -1
        self._logged: set[str] = set()
        self._waiting: Counter[str] = Counter()  # by address, not logged yet

    def note(self, address: str, now: int) -> None:
        """A key from this address (or network) was refused. `now`: Unix seconds."""
        self._on_refused()
        window = now // _WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._log_waiting()
        if address in self._logged:
            self._waiting[address] += 1
        elif len(self._logged) < _MAX_ADDRESSES:
            self._logged.add(address)
            _log.warning("API key refused", address=address, number=1)
        else:
            self._waiting["others"] += 1

    def _log_waiting(self) -> None:
        waiting, self._waiting = self._waiting, Counter()
        self._logged.clear()
        for address, number in waiting.items():
            _log.warning("API keys refused before", address=address, number=number)

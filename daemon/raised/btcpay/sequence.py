"""Which of two answers is the newer one: the one whose request was sent later.

Two requests in flight may show the same invoice, and the older answer may arrive last. Seconds are
too coarse to tell them apart, so requests are numbered.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class RequestSequencer:
    """The requests of one store in the order they were sent."""

    def __init__(self) -> None:
        self._last = 0
        self._in_flight: set[int] = set()
        self._shown: dict[str, int] = {}  # invoice → the newest turn that showed it

    @contextmanager
    def turn(self) -> Iterator[int]:
        """The number of a request, to be taken before it is sent and held until it is told."""
        self._last += 1
        turn = self._last
        self._in_flight.add(turn)
        try:
            yield turn
        finally:
            self._in_flight.discard(turn)
            self._forget()

    def is_news(self, turn: int, invoice_id: str) -> bool:
        """Whether no later request has shown this invoice already; now this one has."""
        if self._shown.get(invoice_id, 0) > turn:
            return False
        self._shown[invoice_id] = turn
        return True

    def _forget(self) -> None:
        """Only a request that is still in flight can bring an older answer."""
        oldest = min(self._in_flight, default=self._last + 1)
        for invoice_id in [one for one, turn in self._shown.items() if turn < oldest]:
            del self._shown[invoice_id]

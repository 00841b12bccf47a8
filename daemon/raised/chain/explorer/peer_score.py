"""How far one explorer is trusted and when it is asked again, as a function of the time.

No clock and no network in here: every function takes `now`, in seconds of one monotonic clock, and
what happened makes a new score of an old one.
"""

from dataclasses import dataclass, replace
from typing import Final

from raised.net.backoff import growing_pause

_LONGEST_PAUSE_SECONDS: Final = 600.0
_REFUSED_SECONDS: Final = 300.0  # another network or software is hardly changed sooner
_COOLDOWN_SECONDS: Final = 600.0  # so long bad data marks a host, even when it answers again
_NO_BLOCKS_SECONDS: Final = 600.0  # then it is asked for a raw block again
_SLOW_FACTOR: Final = 20.0  # of the first pause: so long a slow host comes after the others
_TOLERATED_MOVES: Final = 3  # in a row: an honest chain moves now and then while it is read


@dataclass(frozen=True, slots=True)
class PeerScore:
    """What an explorer did, as far as it matters for asking it.

    `first_pause`: seconds after the first trouble, doubled for each one in a row. The times say
    until when something holds; None means that it does not.
    """

    first_pause: float
    apart_until: float | None = None
    cooldown_until: float | None = None
    unsteady_until: float | None = None
    slow_until: float | None = None
    no_blocks_until: float | None = None
    bad_data: int = 0  # answers in a row that were wrong
    moves: int = 0  # times in a row that its chain changed while it was read
    time_outs: int = 0  # times in a row that it kept us waiting

    def is_apart(self, now: float) -> bool:
        """Whether it is not asked for anything now."""
        return _holds(self.apart_until, now)

    def is_slow(self, now: float) -> bool:
        """Whether it kept us waiting in vain a while ago, so that others are asked first."""
        return _holds(self.slow_until, now)

    def has_raw_blocks(self, now: float) -> bool:
        """Whether it is worth asking for raw blocks."""
        return not _holds(self.no_blocks_until, now)

    def is_doubtful(self, now: float) -> bool:
        """Whether its health is degraded by what it did."""
        distrusted = self.bad_data > 0 or _holds(self.cooldown_until, now)
        unsteady = self.moves > _TOLERATED_MOVES and _holds(self.unsteady_until, now)
        return distrusted or unsteady or self.is_slow(now) or not self.has_raw_blocks(now)

    @property
    def may_move(self) -> bool:
        """Whether answers that do not agree may still come from a chain that moved between them."""
        return self.moves < _TOLERATED_MOVES

    def after_bad_data(self, now: float) -> "PeerScore":
        """It gave a wrong answer: it is left alone, longer each time, and marked for a while."""
        return replace(
            self,
            apart_until=now + self._pause(self.bad_data),
            cooldown_until=now + _COOLDOWN_SECONDS,
            bad_data=self.bad_data + 1,
        )

    def after_false_answer(self, now: float) -> "PeerScore":
        """It gave a false answer about one project: marked for a while, and asked as before.

        What it says of blocks is checked by their hashes.
        """
        return replace(self, cooldown_until=now + _COOLDOWN_SECONDS)

    def after_refusal(self, now: float) -> "PeerScore":
        """It is of no use to us, such as a host of another network."""
        return replace(self, apart_until=now + _REFUSED_SECONDS)

    def after_move(self, now: float) -> "PeerScore":
        """Its chain changed while it was read."""
        return replace(self, moves=self.moves + 1, unsteady_until=now + _COOLDOWN_SECONDS)

    def after_time_out(self, now: float) -> "PeerScore":
        """It kept us waiting: from now on it comes after the others."""
        pause = growing_pause(
            self.first_pause * _SLOW_FACTOR, _LONGEST_PAUSE_SECONDS, self.time_outs
        )
        return replace(self, slow_until=now + pause, time_outs=self.time_outs + 1)

    def after_no_answer(self, now: float) -> "PeerScore":
        """It was given up: it is left alone, and then comes after the others."""
        apart = replace(self, apart_until=now + self._pause(self.time_outs))
        return apart.after_time_out(now)

    def after_no_blocks(self, now: float) -> "PeerScore":
        """It has no raw blocks."""
        return replace(self, no_blocks_until=now + _NO_BLOCKS_SECONDS)

    def after_success(self) -> "PeerScore":
        """Its answers held: it is asked like any other again; the cooldown goes on."""
        return replace(self, bad_data=0, moves=0, time_outs=0, apart_until=None, slow_until=None)

    def _pause(self, times: int) -> float:
        return growing_pause(self.first_pause, _LONGEST_PAUSE_SECONDS, times)


def _holds(until: float | None, now: float) -> bool:
    return until is not None and now < until

"""One explorer with a past: what it showed, how far it is believed, how it does."""

import asyncio
from typing import Final, get_args

from raised.chain.explorer.api import Explorer
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.http_status import Meaning
from raised.chain.explorer.probe import probe
from raised.clock import now
from raised.domain.angor.network import Network
from raised.domain.observation import SourceHealth, State
from raised.errors import BadData, Refused, SourceError, Unavailable

_REFUSED_SECONDS: Final = 300.0
_LONGEST_DISTRUST_SECONDS: Final = 600.0
_GRUDGE_SECONDS: Final = 600.0  # bad data marks a host as degraded, even when it answers again
_NO_BLOCKS_SECONDS: Final = 600.0  # then it is asked for a raw block again
_LONGEST_STALLED_SECONDS: Final = 600.0
_STALLED_FACTOR: Final = 20.0  # of the first rest: so long one that stalled comes after the others
_SILENT: Final = frozenset({"timeout", "unreachable", "resting", "retry", "rate_limited"})
# What the wire says of one request; it has counted that already.
_OF_THE_WIRE: Final = _SILENT | frozenset(get_args(Meaning))
# What the machines behind one name can say between them when a block comes, without any lie.
_TWO_MINDS: Final = frozenset({"wrong_page", "unlinked", "wrong_proof", "wrong_spends"})
_LATE: Final = ("timeout", "keeps us waiting")
_CHANCES: Final = 3  # in a row, before one of these, or a chain that moves, counts against it


class ExplorerPeer:
    """An explorer, met or not yet.

    `on_our_chain`: whether it shows the chain that we follow. `polling`: whether it was asked for
    its tip and has not answered yet.
    """

    def __init__(self, http: ExplorerHttp, network: Network) -> None:
        self.http = http
        self.name = http.name
        self.explorer: Explorer | None = None
        self.tip_hash: str | None = None
        self.tip_height: int | None = None
        self.on_our_chain: bool | None = None
        self._network = network
        self._apart_until = self._grudge_until = self._unsteady_until = -1e9
        self._no_blocks_until = self._stalled_until = -1e9
        self._lies = self._moves = self._stalls = 0
        self._behind: tuple[str, str] | None = None
        self.polling = False
        self._answers = False
        self._refused = False

    @property
    def available(self) -> bool:
        """Whether it may be asked now: neither resting, nor set apart, nor late with its tip."""
        rested = self.http.bucket.rest_seconds == 0 and _time() >= self._apart_until
        return rested and not self.polling

    @property
    def stalled(self) -> bool:
        """Whether it kept us waiting in vain a while ago, with more than its tip."""
        return _time() < self._stalled_until

    @property
    def has_raw_blocks(self) -> bool:
        """Whether it is worth asking for raw blocks."""
        return _time() >= self._no_blocks_until

    async def poll_tip(self, sample: bytes | None = None) -> bool:
        """Meet it if need be, and see its tip: whether it showed one. Trouble is kept."""
        if not self.available:
            return False
        self.polling = True
        try:
            if self.explorer is None:
                self.explorer = await _meet(self.http, self._network, sample)
                self._refused = False
            tip_hash = await self.explorer.tip_hash()
        except SourceError as error:
            self.record_error(error)
            return False
        finally:
            self.polling = False
        self._answers = True
        self.set_tip(tip_hash)
        return True

    def set_tip(self, tip_hash: str) -> None:
        """This is its tip now."""
        if tip_hash != self.tip_hash:
            self.tip_hash, self.tip_height, self.on_our_chain = tip_hash, None, None

    def mark_unresponsive(self) -> None:
        """It kept us waiting: it is left alone, and then comes after the others."""
        self.http.stats.record_error(*_LATE)
        self._apart(self._stalls)
        self._stall()
        self._answers, self.tip_hash = False, None

    def _stall(self) -> None:
        pause = self.http.rate_limit.base_seconds * _STALLED_FACTOR * 2.0 ** min(self._stalls, 32)
        self._stalls += 1
        self._stalled_until = _time() + min(_LONGEST_STALLED_SECONDS, pause)

    async def on_error(self, error: SourceError) -> None:
        """Blame it, but not for what a race looks like: a chain that changes while we read it.

        Whoever reads twice from a chain that moves between sees two things that do not agree.
        """
        if error.code == "timeout":
            self._stall()
        if isinstance(error, BadData):
            chance = error.code in _TWO_MINDS and self._moves < _CHANCES
            if chance or await self._has_moved():
                error = Unavailable(self.name, "changed its chain while we read it", "moved")
        self.record_error(error)

    async def _has_moved(self) -> bool:
        if self.explorer is None or self.tip_hash is None:
            return False
        try:
            return await self.explorer.tip_hash() != self.tip_hash
        except SourceError:
            return False

    def record_error(self, error: SourceError) -> None:
        """Take note of trouble: lies set it apart, the wire's are the wire's, moving is none."""
        self.tip_hash = None
        self._answers = error.code not in _SILENT
        if isinstance(error, BadData) or error.code not in _OF_THE_WIRE:
            self.http.stats.record_error(error.code, error.detail)
        if isinstance(error, BadData):
            self._apart(self._lies)
            self._lies += 1
            self._grudge_until = _time() + _GRUDGE_SECONDS
        elif isinstance(error, Refused) and self.explorer is None:
            self._refused = True
            self._apart_until = _time() + _REFUSED_SECONDS
        elif error.code not in _OF_THE_WIRE:
            self._moves += 1
            self._unsteady_until = _time() + _GRUDGE_SECONDS

    def _apart(self, times: int) -> None:
        pause = self.http.rate_limit.base_seconds * 2.0 ** min(times, 32)
        self._apart_until = _time() + min(_LONGEST_DISTRUST_SECONDS, pause)

    def mark_no_raw_blocks(self) -> None:
        """It has no raw blocks; it is asked again much later."""
        self._no_blocks_until = _time() + _NO_BLOCKS_SECONDS

    def clear_chain_problem(self) -> None:
        """It is where the others are."""
        self._behind = None

    def set_chain_problem(self, code: str, sentence: str) -> None:
        """It is not where the others are, in words for its health."""
        if self._behind != (code, sentence):
            self._behind = (code, sentence)
            self.http.stats.record_error(code, sentence)

    def reset(self) -> None:
        """Its answers held: it is asked like any other again, and not forgotten yet."""
        self._lies = self._moves = self._stalls = 0
        self._apart_until = self._stalled_until = -1e9

    @property
    def state(self) -> State:
        """How it does."""
        if self._refused or self.explorer is None or self.http.bucket.rest_seconds > 0:
            return "down"
        if not self._answers or self.http.is_late:
            return "down"
        distrusted = self._lies > 0 or _time() < self._grudge_until
        moving = self._moves > _CHANCES and _time() < self._unsteady_until
        unsteady = moving or self.stalled
        apart = self.on_our_chain is False or self._behind is not None
        return "degraded" if distrusted or unsteady or apart or not self.has_raw_blocks else "ok"

    def health(self, verify: str, disagrees_with: tuple[str, ...]) -> SourceHealth:
        """What the record and the operator shall know of it."""
        standing = self.http.stats
        return SourceHealth(
            kind="explorer",
            name=self.name,
            state=self.state,
            at=now(),
            last_success_at=standing.last_success_at,
            last_error=_LATE if self.http.is_late else standing.last_error,
            latency_ms=standing.latency_ms,
            errors=dict(standing.errors),
            facts={
                "flavour": self.explorer.flavour if self.explorer else None,
                "height": self.tip_height,
                "hash": self.tip_hash,
                "verify": verify,
                "requests_today": self.http.bucket.requests_today,
                "disagrees_with": disagrees_with,
            },
        )


async def _meet(http: ExplorerHttp, network: Network, sample: bytes | None) -> Explorer:
    return await (probe(http, network) if sample is None else probe(http, network, sample))


def _time() -> float:
    return asyncio.get_running_loop().time()

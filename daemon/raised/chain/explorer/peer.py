"""One explorer that is followed: its tip, how far it is trusted, its health."""

import asyncio
from typing import Final, get_args

from raised.chain.explorer.api import Explorer
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.http_status import Meaning
from raised.chain.explorer.peer_score import PeerScore
from raised.chain.explorer.probe import probe
from raised.chain.explorer.redirects import REDIRECTS
from raised.clock import now
from raised.domain.angor.network import Network
from raised.domain.observation import SourceHealth, State
from raised.errors import BadData, Refused, SourceError, Unavailable
from raised.net.backoff import Backoff, loop_time
from raised.net.host_answers import HostAnswers
from raised.net.source_health import ErrorText

# After these errors the host counts as not answering.
_NO_ANSWER: Final = frozenset({"timeout", "unreachable", "resting", "retry", "rate_limited"})
# Errors of single requests, which the HTTP client has counted already.
_COUNTED: Final = _NO_ANSWER | frozenset(get_args(Meaning)) | {REDIRECTS}
# What honest machines behind one name can answer while a block arrives at one after the other.
_INCONSISTENT: Final = frozenset({"wrong_page", "unlinked", "wrong_proof", "wrong_spends"})
# Wrong answers about one project that anybody can cause, by what he pays it with.
_HARMLESS: Final = frozenset({"too_long", "shape", "bad_answer"})
_TOLERATED_ANSWERS: Final = 3  # that machines behind one name can give while a block arrives
_SHORT_REST_SECONDS: Final = 5.0  # a host that rests longer is in trouble as a whole
_MOVED: Final = "moved"
_TURN_ERROR_SECONDS: Final = 600.0  # so long a failure shows when it is not asked again
_LATE: Final = ("timeout", "keeps us waiting")


class ExplorerPeer:
    """An explorer of the configuration; `explorer` is None until the probe has met it.

    `on_our_chain`: whether it shows the chain that we follow, None while that is not known.
    `polling`: whether it was asked for its tip and has not answered yet.
    """

    def __init__(self, http: ExplorerHttp, network: Network) -> None:
        self.http = http
        self.name = http.name
        self.explorer: Explorer | None = None
        self.tip_hash: str | None = None
        self.tip_height: int | None = None
        self.on_our_chain: bool | None = None
        self.polling = False
        self._network = network
        self._score = PeerScore(http.rate_limit.base_seconds)
        self._chain_problem: tuple[str, str] | None = None
        self._answers = False
        self._lacks_tip = False  # without it an explorer is of no use, whatever it says of why
        self._refused = False
        limit = http.rate_limit
        self._tip_backoff = Backoff(limit.base_seconds, limit.cap_seconds)
        self._turn_backoff = Backoff(limit.base_seconds, limit.cap_seconds)
        self._turn_errors = HostAnswers()
        self._last_turn_error: tuple[float, ErrorText] | None = None
        self._false_answers = 0  # about histories, since the last one that was right

    @property
    def available(self) -> bool:
        """Whether it may be asked now: neither resting, nor set apart, nor late with its tip."""
        rested = self.http.bucket.rest_seconds == 0 and not self._score.is_apart(loop_time())
        return rested and self._tip_backoff.is_due() and not self.polling

    @property
    def may_take_turn(self) -> bool:
        """Whether it may be asked for blocks: it did not just fail to give them."""
        return self._turn_backoff.is_due()

    @property
    def stalled(self) -> bool:
        """Whether it kept us waiting in vain a while ago, with more than its tip."""
        return self._score.is_slow(loop_time())

    @property
    def has_raw_blocks(self) -> bool:
        """Whether it is worth asking for raw blocks."""
        return self._score.has_raw_blocks(loop_time())

    async def poll_tip(self, sample: bytes | None = None) -> bool:
        """Ask for its tip, after the probe if need be: whether it answered. Errors are recorded.

        `sample`: a script that the probe asks about, see `probe`.
        """
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
            self._lacks_tip = True
            self._tip_backoff.on_failure()
            return False
        finally:
            self.polling = False
        self._tip_backoff.on_success()
        self._answers, self._lacks_tip = True, False
        self.set_tip(tip_hash)
        return True

    def set_tip(self, tip_hash: str) -> None:
        """The hash of its tip now; what was known of another tip is forgotten."""
        if tip_hash != self.tip_hash:
            self.tip_hash, self.tip_height, self.on_our_chain = tip_hash, None, None

    def mark_unresponsive(self) -> None:
        """A request was given up: it is left alone for a while, and then comes after the others."""
        self.http.stats.record_error(*_LATE)
        self._score = self._score.after_no_answer(loop_time())
        self._answers, self.tip_hash = False, None

    async def on_turn_error(self, error: SourceError) -> None:
        """It could not give what its chain has beyond ours: as `on_error`, and it is asked less."""
        await self.on_error(error)
        self._turn_backoff.on_failure()
        if error.code != _MOVED:
            self._turn_errors.on_refusal(error.detail, error.code, error.detail)
            self._last_turn_error = (loop_time(), (error.code, error.detail))

    async def on_error(self, error: SourceError) -> None:
        """Record an error, unless it is what a chain looks like that moves while it is read.

        Two answers from before and after a new block do not agree: no error of the peer.
        """
        if error.code == "timeout":
            self._score = self._score.after_time_out(loop_time())
        if isinstance(error, BadData):
            tolerated = error.code in _INCONSISTENT and self._score.may_move
            if tolerated or await self._has_moved():
                error = self._moved()
        self.record_error(error)

    async def error_of_host(self, error: SourceError) -> SourceError | None:
        """After a question about one project failed: the error when the host itself is in trouble.

        None when it still shows the same tip, so that only this question failed. A false answer is
        held against the host all the same; that anybody can cause, such as a long one, is not.
        """
        assert self.explorer is not None, "only peers that were probed are asked"
        rest = self.http.bucket.rest_seconds
        if rest > _SHORT_REST_SECONDS:
            return error
        await asyncio.sleep(rest)
        try:
            tip_hash = await self.explorer.tip_hash()
        except SourceError as host_error:
            self._lacks_tip = True
            return host_error
        if tip_hash != self.tip_hash:
            return self._moved()
        if isinstance(error, BadData) or error.code not in _COUNTED:
            self.http.stats.record_error(error.code, error.detail)
        if isinstance(error, BadData) and error.code not in _HARMLESS:
            self._on_false_answer(error)
        return None

    def _moved(self) -> Unavailable:
        return Unavailable(self.name, "changed its chain while we read it", _MOVED)

    def _on_false_answer(self, error: BadData) -> None:
        self._false_answers += 1
        if error.code not in _INCONSISTENT or self._false_answers > _TOLERATED_ANSWERS:
            self._score = self._score.after_false_answer(loop_time())

    def on_history(self) -> None:
        """A history that it gave was right in everything."""
        self._false_answers = 0

    async def _has_moved(self) -> bool:
        if self.explorer is None or self.tip_hash is None:
            return False
        try:
            return await self.explorer.tip_hash() != self.tip_hash
        except SourceError:
            return False

    def record_error(self, error: SourceError) -> None:
        """Record an error and what follows from its kind for asking this host again.

        Bad data sets it apart. After errors of single requests the token bucket makes pauses. A
        chain that moved counts only when it moves again and again.
        """
        self.tip_hash = None
        self._answers = error.code not in _NO_ANSWER
        if isinstance(error, BadData) or error.code not in _COUNTED:
            self.http.stats.record_error(error.code, error.detail)
        if isinstance(error, BadData):
            self._score = self._score.after_bad_data(loop_time())
        elif isinstance(error, Refused) and self.explorer is None:
            self._refused = True
            self._score = self._score.after_refusal(loop_time())
        elif error.code not in _COUNTED:
            self._score = self._score.after_move(loop_time())

    def reset(self) -> None:
        """Its answers held: it is asked like any other again, though a cooldown goes on."""
        self._score = self._score.after_success()
        self._turn_backoff.on_success()
        self._turn_errors.on_answer()
        self._last_turn_error = None

    def mark_no_raw_blocks(self) -> None:
        """It has no raw blocks; it is asked for one again much later."""
        self._score = self._score.after_no_blocks(loop_time())

    def set_chain_problem(self, code: str, sentence: str) -> None:
        """Its chain is not where the others are; the sentence is for its health."""
        if self._chain_problem != (code, sentence):
            self._chain_problem = (code, sentence)
            self.http.stats.record_error(code, sentence)

    def clear_chain_problem(self) -> None:
        """Its chain is where the others are."""
        self._chain_problem = None

    @property
    def state(self) -> State:
        """Down while it cannot be asked or does not answer, degraded while it is doubtful."""
        is_unmet = self._refused or self.explorer is None
        is_silent = self._lacks_tip or not self._answers or self.http.is_late
        rests = self.http.bucket.rest_seconds > _SHORT_REST_SECONDS
        if is_unmet or is_silent or rests or self._turn_errors.refused:
            return "down"
        apart = self.on_our_chain is False or self._chain_problem is not None
        is_doubtful = self._score.is_doubtful(loop_time()) or self._turn_error is not None
        return "degraded" if apart or is_doubtful else "ok"

    @property
    def was_asked(self) -> bool:
        """Whether there was an answer, a failure, or a wait for longer than usual."""
        stats = self.http.stats
        was_answered = stats.last_success_at is not None or stats.last_error is not None
        return was_answered or self.http.is_late

    @property
    def _turn_error(self) -> ErrorText | None:
        if self._last_turn_error is None:
            return None
        at, error = self._last_turn_error
        return error if loop_time() - at < _TURN_ERROR_SECONDS else None

    def health(self, verify: str, disagrees_with: tuple[str, ...]) -> SourceHealth:
        """Its health as the record and the operator see it."""
        stats = self.http.stats
        return SourceHealth(
            kind="explorer",
            name=self.name,
            state=self.state,
            at=now(),
            last_success_at=stats.last_success_at,
            last_error=_LATE if self.http.is_late else stats.last_error,
            latency_ms=stats.latency_ms,
            errors=dict(stats.errors),
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

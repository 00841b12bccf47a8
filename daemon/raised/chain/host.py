"""One explorer with a past: what it showed, how far it is believed, how it does."""

import asyncio
from typing import Final

from raised.chain.explorer import Explorer
from raised.chain.probe import probe
from raised.chain.wire import Wire
from raised.clock import now
from raised.domain.network import Network
from raised.domain.observation import SourceHealth, State
from raised.errors import BadData, Refused, SourceError

_REFUSED_SECONDS: Final = 300.0
_LONGEST_DISTRUST_SECONDS: Final = 600.0
_GRUDGE_SECONDS: Final = 600.0  # bad data marks a host as degraded, even when it answers again


class Host:
    """An explorer, met or not yet. `stance`: whether it shows the chain that we follow."""

    def __init__(self, wire: Wire, network: Network) -> None:
        self.wire = wire
        self.name = wire.name
        self.explorer: Explorer | None = None
        self.tip_hash: str | None = None
        self.tip_height: int | None = None
        self.stance: bool | None = None
        self.raw_blocks = True
        self.lagging = False
        self._network = network
        self._apart_until = 0.0
        self._lies = 0
        self._grudge_until = 0.0
        self._refused = False

    @property
    def available(self) -> bool:
        """Whether it may be asked now."""
        return self.wire.budget.rest_seconds == 0 and _time() >= self._apart_until

    async def look(self, sample: bytes | None) -> None:
        """Meet it if need be, and see its tip. Trouble is kept, not raised."""
        if not self.available:
            return
        try:
            if self.explorer is None:
                self.explorer = await (
                    probe(self.wire, self._network, sample)
                    if sample is not None
                    else probe(self.wire, self._network)
                )
                self._refused = False
            tip_hash = await self.explorer.tip_hash()
        except SourceError as error:
            self.blame(error)
            return
        if tip_hash != self.tip_hash:
            self.tip_hash, self.tip_height, self.stance = tip_hash, None, None

    def blame(self, error: SourceError) -> None:
        """Take note of trouble: lies set it apart, refusals for longer, the rest is the wire's."""
        self.tip_hash = None
        match error:
            case BadData():
                self.wire.standing.went_wrong(error.code, error.detail)
                pause = self.wire.pace.base_seconds * 2.0 ** min(self._lies, 32)
                self._lies += 1
                self._grudge_until = _time() + _GRUDGE_SECONDS
                self._apart_until = _time() + min(_LONGEST_DISTRUST_SECONDS, pause)
            case Refused():
                if self.explorer is None:
                    self.wire.standing.went_wrong(error.code, error.detail)
                    self._refused = True
                    self._apart_until = _time() + _REFUSED_SECONDS
            case _:
                pass

    def believe(self) -> None:
        """Its answers held: it is asked like any other again, and not forgotten yet."""
        self._lies = 0
        self._apart_until = 0.0

    @property
    def state(self) -> State:
        """How it does."""
        if self._refused or self.explorer is None or self.wire.budget.rest_seconds > 0:
            return "down"
        distrusted = self._lies > 0 or _time() < self._grudge_until
        if distrusted or self.stance is False or self.lagging or not self.raw_blocks:
            return "degraded"
        return "ok" if self.tip_hash else "down"

    def health(self, verify: str, disagrees_with: tuple[str, ...]) -> SourceHealth:
        """What the record and the operator shall know of it."""
        standing = self.wire.standing
        return SourceHealth(
            kind="explorer",
            name=self.name,
            state=self.state,
            at=now(),
            last_success_at=standing.last_success_at,
            last_error=standing.last_error,
            latency_ms=standing.latency_ms,
            errors=dict(standing.errors),
            facts={
                "flavour": self.explorer.flavour if self.explorer else None,
                "height": self.tip_height,
                "hash": self.tip_hash,
                "verify": verify,
                "requests_today": self.wire.budget.requests_today,
                "disagrees_with": disagrees_with,
            },
        )


def _time() -> float:
    return asyncio.get_running_loop().time()

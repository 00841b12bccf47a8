"""All explorers together: who is asked first, who agrees with whom, what to report of each."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from raised.chain.headers import HeaderChain
from raised.chain.host import Host
from raised.chain.settings import ExplorerSettings
from raised.chain.wire import Wire
from raised.domain.network import Network
from raised.domain.observation import SourceHealth
from raised.errors import SourceError

_LAG_BLOCKS: Final = 2
_LATENCY_STEP_MS: Final = 250  # small differences of speed do not decide


class Panel:
    """The configured explorers, in the order of the configuration."""

    def __init__(
        self,
        explorers: Sequence[ExplorerSettings],
        network: Network,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.hosts = tuple(Host(Wire(settings, transport), network) for settings in explorers)

    async def close(self) -> None:
        """Close all connections."""
        for host in self.hosts:
            await host.wire.close()

    async def look(self, sample: bytes | None) -> None:
        """See every host's tip, all at once: a dead one delays nobody."""
        async with asyncio.TaskGroup() as looks:
            for host in self.hosts:
                looks.create_task(host.look(sample), name=f"look at {host.name}")

    def ranked(self, chain: HeaderChain | None) -> list[Host]:
        """The hosts that can be asked, best first: by tip, then latency, then as configured.

        Those on another chain than ours come last, however new their tips are.
        """
        able = [host for host in self.hosts if host.available and host.explorer and host.tip_hash]
        return sorted(able, key=lambda host: _rank(host, chain))

    async def compare(self, chain: HeaderChain) -> None:
        """Find out of each host whether it shows our chain, as far as that is not known."""
        for host in self.hosts:
            place_host(host, chain)
            if len(self.hosts) > 1 and host.stance is None and host.tip_hash and host.available:
                try:
                    await _take_stance(host, chain)
                except SourceError as error:
                    host.blame(error)

    def forget_stances(self) -> None:
        """Our chain is another one now: who shows it must be found out again."""
        for host in self.hosts:
            host.stance = None

    async def agreeing(self, height: int, block_hash: str, asked: Host) -> tuple[int, int]:
        """How many hosts have this block at this height, and how many could have it.

        A host far behind can say nothing about a new block, so it does not count.
        """
        agree = able = 1
        for host in self.hosts:
            if host is asked or not host.available or host.explorer is None:
                continue
            if host.tip_height is not None and host.tip_height < height - _LAG_BLOCKS:
                continue
            try:
                found = await host.explorer.block_hash(height)
            except SourceError as error:
                host.blame(error)
                continue
            able += 1
            agree += found == block_hash
        return agree, able

    def health(self, verify: str) -> list[SourceHealth]:
        """One report for each host."""
        return [host.health(verify, self._opponents(host)) for host in self.hosts]

    def _opponents(self, host: Host) -> tuple[str, ...]:
        if host.stance is None:
            return ()
        return tuple(
            other.name
            for other in self.hosts
            if other.stance is not None and other.stance is not host.stance
        )


def place_host(host: Host, chain: HeaderChain) -> None:
    """Set the height of a host's tip, and whether it lags, where our own chain tells."""
    height = chain.height_of(host.tip_hash) if host.tip_hash else None
    if height is not None:
        host.tip_height, host.stance = height, True
        host.lagging = height < chain.height - _LAG_BLOCKS


def _rank(host: Host, chain: HeaderChain | None) -> tuple[bool, int, int]:
    known = chain.height_of(host.tip_hash) if chain and host.tip_hash else None
    behind = 0 if chain is None or known is None else 1 + chain.height - known
    return host.stance is False, behind, (host.wire.standing.latency_ms or 0) // _LATENCY_STEP_MS


async def _take_stance(host: Host, chain: HeaderChain) -> None:
    assert host.explorer is not None, "a host with a tip was met"
    ours = await host.explorer.block_hash(chain.height)
    if ours is not None:
        host.stance = ours == chain.tip.hash
        return
    height, header = (await host.explorer.headers())[0]
    host.tip_height = height
    held = chain.at(height)
    host.stance = None if held is None else held.hash == header.hash
    host.lagging = height < chain.height - _LAG_BLOCKS

"""All explorers together: who is asked first, who agrees with whom, what to report of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import httpx

from raised.chain.ancestry.disputes import Disputes
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import ExplorerSettings
from raised.domain.angor.network import Network
from raised.domain.observation import SourceHealth
from raised.errors import SourceError

_LAG_BLOCKS: Final = 2
_GRACE_SECONDS: Final = 0.5  # for those who are not the first to answer
_LATENCY_STEP_MS: Final = 250  # small differences of speed do not decide


class ExplorerPool:
    """The configured explorers, in the order of the configuration."""

    def __init__(
        self,
        explorers: Sequence[ExplorerSettings],
        network: Network,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.hosts = tuple(
            ExplorerPeer(ExplorerHttp(settings, transport), network) for settings in explorers
        )
        self._late: set[str] = set()
        self.disputes = Disputes()

    async def close(self) -> None:
        """Close all connections."""
        for host in self.hosts:
            await host.http.close()

    async def look(self, sample: bytes | None = None) -> None:
        """See every host's tip, all at once, and wait for all of them."""
        async with asyncio.TaskGroup() as looks:
            for host in self.hosts:
                looks.create_task(host.poll_tip(sample), name=f"look at {host.name}")

    async def glance(self, looks: asyncio.TaskGroup) -> None:
        """See the tip of every host that may be asked, and do not wait for one that stalls.

        Once a host answers, the others have a moment to do so, too. Whoever takes longer is not
        available until it does; what it shows then counts at the next glance.
        """
        begun = {
            looks.create_task(host.poll_tip(), name=f"look at {host.name}")
            for host in self.hosts
            if host.available and host.name not in self._late
        }
        answered = False
        while begun and not answered:
            done, begun = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            answered = any(task.result() for task in done)
        if begun:
            await asyncio.wait(begun, timeout=_GRACE_SECONDS)
        self._late = {host.name for host in self.hosts if host.polling}

    def ranked(self, chain: HeaderChain | None) -> list[ExplorerPeer]:
        """The hosts that can be asked, best first: by tip, raw blocks, latency, then as configured.

        Those on another chain than ours come last, however new their tips are; before them those
        that kept us waiting.
        """
        able = [host for host in self.hosts if host.available and host.explorer and host.tip_hash]
        return sorted(able, key=lambda host: _rank(host, chain))

    async def compare(self, chain: HeaderChain) -> None:
        """Find out of each host whether it shows our chain, as far as that is not known."""
        async with asyncio.TaskGroup() as compared:
            for host in self.hosts:
                place_host(host, chain)
                if len(self.hosts) > 1 and _is_to_compare(host):
                    compared.create_task(_compare(host, chain))

    def silent(self, asked: ExplorerPeer) -> ExplorerPeer | None:
        """Who keeps the turn of a host waiting: itself, when another can be asked, or a witness."""
        others = [host for host in self.hosts if host is not asked]
        able = any(one.available and one.tip_hash and not one.stalled for one in others)
        silent = (host for host in self.hosts if host.http.is_late and not host.polling)
        return next((host for host in silent if able or host is not asked), None)

    def others_with_blocks(self, asked: ExplorerPeer) -> bool:
        """Whether another host than this one can be asked for raw blocks, and is not behind."""
        return any(
            host.has_raw_blocks
            and host.available
            and not host.stalled
            and host.on_our_chain is not False
            for host in self.hosts
            if host is not asked
        )

    def forget_stances(self) -> None:
        """Our chain is another one now: who shows it must be found out again."""
        for host in self.hosts:
            host.on_our_chain = None

    async def agreeing(self, height: int, block_hash: str, asked: ExplorerPeer) -> tuple[int, int]:
        """How many hosts have this block at this height, and how many could have it.

        A host far behind can say nothing about a new block, so it does not count.
        """
        able = [
            host
            for host in self.hosts
            if host is not asked
            and host.available
            and host.explorer is not None
            and (host.tip_height is None or host.tip_height >= height - _LAG_BLOCKS)
        ]
        words = await asyncio.gather(*(_word(host, height) for host in able))
        for host, word in zip(able, words, strict=True):
            if word:
                self.disputes.record(asked.name, host.name, agree=word == block_hash)
        return 1 + words.count(block_hash), 1 + len(words) - words.count(None)

    def health(self, verify: str) -> list[SourceHealth]:
        """One report for each host."""
        return [self._health(host, verify) for host in self.hosts]

    def _health(self, host: ExplorerPeer, verify: str) -> SourceHealth:
        health = host.health(verify, self._opponents(host))
        doubtful = health.state == "ok" and self.disputes.is_doubtful(host.name)
        return replace(health, state="degraded") if doubtful else health

    def _opponents(self, host: ExplorerPeer) -> tuple[str, ...]:
        disputed = self.disputes.opponents_of(host.name)
        return tuple(
            other.name
            for other in self.hosts
            if other.name in disputed
            or (
                None not in (host.on_our_chain, other.on_our_chain)
                and other.on_our_chain is not host.on_our_chain
            )
        )


def place_host(host: ExplorerPeer, chain: HeaderChain) -> None:
    """Set the height of a host's tip, and whether it lags, where our own chain tells."""
    height = chain.height_of(host.tip_hash) if host.tip_hash else None
    if height is not None:
        host.on_our_chain = True
        _place(host, height, chain)


def _place(host: ExplorerPeer, height: int, chain: HeaderChain) -> None:
    host.tip_height = height
    if height < chain.height - _LAG_BLOCKS:
        host.set_chain_problem("behind", "is behind: newer blocks of our chain are missing")
    else:
        host.clear_chain_problem()


def _rank(host: ExplorerPeer, chain: HeaderChain | None) -> tuple[bool, bool, int, bool, int]:
    known = chain.height_of(host.tip_hash) if chain and host.tip_hash else None
    behind = 0 if chain is None or known is None else 1 + chain.height - known
    latency = (host.http.stats.latency_ms or 0) // _LATENCY_STEP_MS
    return host.on_our_chain is False, host.stalled, behind, not host.has_raw_blocks, latency


async def _word(host: ExplorerPeer, height: int) -> str | None:
    """The block a host has at this height, empty for none; None when it cannot say."""
    assert host.explorer is not None, "checked by the caller"
    try:
        return await host.explorer.block_hash(height) or ""
    except SourceError as error:
        await host.on_error(error)
        return None


def _is_to_compare(host: ExplorerPeer) -> bool:
    unknown = host.on_our_chain is None and host.tip_hash is not None
    return unknown and host.available and not host.stalled


async def _compare(host: ExplorerPeer, chain: HeaderChain) -> None:
    try:
        await _take_stance(host, chain)
    except SourceError as error:
        await host.on_error(error)


async def _take_stance(host: ExplorerPeer, chain: HeaderChain) -> None:
    assert host.explorer is not None, "a host with a tip was met"
    ours = await host.explorer.block_hash(chain.height)
    if ours is not None:
        host.on_our_chain = ours == chain.tip.hash
        return
    height, header = (await host.explorer.headers())[0]
    held = chain.at(height)
    host.on_our_chain = None if held is None else held.hash == header.hash
    _place(host, height, chain)
